"""The examples of docs/python-api.md, run from top to bottom as a person would run them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_examples_run_from_the_phantom_to_an_interval(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.from_python", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Outcome.FINISHED" in done.stdout
    assert "studies are positive" in done.stdout
    assert (tmp_path / "results" / "effusion.json").is_file()
