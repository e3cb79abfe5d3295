"""examples/first_look.ipynb: every code cell runs in order, and the notebook is committed without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.examples.notebook_cells import code_cells

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "first_look.ipynb"


def test_every_cell_runs_from_the_phantom_to_the_interval(tmp_path: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.examples.notebook_cells", str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"cell {len(code_cells(NOTEBOOK))}:" in done.stdout
    assert "Outcome.FINISHED" in done.stdout
    assert "patients are resampled" in done.stdout
    written = tmp_path / "first-look-output"
    assert {path.name for path in written.iterdir()} >= {"phantom", "shards", "run", "models", "predictions", "results"}
    assert [path.name for path in tmp_path.iterdir()] == ["first-look-output"]


def test_the_notebook_holds_no_outputs_and_no_pictures() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert "attachments" not in cell
        assert "data:image" not in "".join(cell["source"])


def test_the_notebook_shows_each_step_of_the_path_between_two_explanations() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert cells[0]["cell_type"] == cells[-1]["cell_type"] == "markdown"
    code = "\n".join(code_cells(NOTEBOOK))
    steps = (
        "make_phantom",
        "build_shards",
        "show(",
        "training.pretrain(",
        "training.probe(",
        "roc_curve(",
        "bootstrap(",
    )
    assert all(step in code for step in steps)
