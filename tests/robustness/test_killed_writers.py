"""Commands that write a new folder, killed at each of their writes: run again, they end with the same bytes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.robustness.commands import refused, run_train
from tests.robustness.trees import tree
from tests.robustness.weight_inputs import Inputs
from training.folders import UNFINISHED

WRITERS: dict[str, Callable[[Inputs, Path], tuple[object, ...]]] = {
    "export": lambda i, out: ("export", i.folder / "run", out, "--format", "torchvision", "--with-patients"),
    "export to a hub": lambda i, out: ("export", i.folder / "run", out, "--format", "hub"),
    "import": lambda i, out: (*("import", i.folder / "published" / "checkpoint.pth.tar", out, "--shards", i.shards),),
}
KILLER = """
import os, signal, sys
from pathlib import Path
import training.publishing.hub, training.runs.import_published  # noqa: torch is imported once
from training.cli.main import main

folder, words = Path(sys.argv[1]), sys.argv[2:]
rename = Path.replace
for moment in range(40):
    child = os.fork()
    if not child:
        left = moment
        def replace(self, target):
            global left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return rename(self, target)
        Path.replace = replace
        try:
            main([word.replace("OUT", str(folder / str(moment))) for word in words], prog_name="cxr-train")
        except SystemExit as end:
            os._exit(end.code or 0)  # what torch and Arrow do at the end of a program is not for a fork
    _, status = os.waitpid(child, 0)
    print(moment, os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)
    if not os.WIFSIGNALED(status):
        break
"""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_a_kill_left_is_taken_up_by_the_same_command_to_the_same_bytes(
    writer: str, inputs: Inputs, tmp_path: Path
) -> None:
    words = WRITERS[writer](inputs, Path("OUT"))
    done = subprocess.run(
        [sys.executable, "-c", KILLER, tmp_path, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    ends = [tuple(map(int, line.split())) for line in done.stdout.splitlines() if line[0].isdigit()]
    assert len(ends) >= 4, (done.stdout, done.stderr)
    assert [status for _, status in ends] == [signal.SIGKILL] * (len(ends) - 1) + [0]
    whole = tree(tmp_path / str(ends[-1][0]))
    assert UNFINISHED not in whole
    for moment, _ in ends[:-1]:
        left = tmp_path / str(moment)
        result = run_train(*WRITERS[writer](inputs, left))
        assert result.exit_code == 0, (moment, result.output)
        assert tree(left) == whole, moment


@pytest.mark.parametrize("writer", WRITERS)
def test_what_another_has_put_beside_the_marker_is_refused_and_kept(
    writer: str, inputs: Inputs, tmp_path: Path
) -> None:
    (tmp_path / UNFINISHED).write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    refused(run_train(*WRITERS[writer](inputs, tmp_path)), "is there and not empty")
    assert tree(tmp_path) == before
