"""Two processes and one run directory."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.pretraining.test_pretrain_command import PATIENCE_S, invoke, start
from tests.training.pretraining.test_pretrain_command import arguments as command_line
from training.errors import RunError
from training.runs.checkpoints import checkpoint_steps
from training.runs.lock import RunLock
from training.runs.metrics_log import read_metrics

HOLD = """
import sys, time
from pathlib import Path
from training.runs.lock import RunLock
lock = RunLock()
lock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def hold(run: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_run_is_locked_once_and_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    with hold(tmp_path) as holder:
        with pytest.raises(RunError) as refusal:
            RunLock().acquire(tmp_path)
        assert f"process {holder.pid} on {socket.gethostname()} since " in str(refusal.value)
        holder.kill()
    lock = RunLock()
    lock.acquire(tmp_path)
    lock.acquire(tmp_path)
    with pytest.raises(RunError, match=f"process {os.getpid()} on"):
        RunLock().acquire(tmp_path)
    lock.close()
    RunLock().acquire(tmp_path)


def test_temporary_files_of_a_killed_process_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    leftovers = [tmp_path / ".last.json.12.tmp", tmp_path / "checkpoints" / ".step-00000012.pt.34.tmp"]
    others = [tmp_path / "notes.tmp", tmp_path / ".hidden", tmp_path / "checkpoints" / "step-00000006.pt"]
    for path in (*leftovers, *others):
        path.touch()
    RunLock().acquire(tmp_path)
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in others)


def test_a_second_run_in_the_same_directory_is_refused_while_the_first_is_alive(
    tiny_shards: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first = start(tiny_shards, run)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not read_metrics(run):
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGSTOP)  # alive, and certainly not finished before the second has looked
        refused = invoke(*command_line(tiny_shards, run))
        assert refused.exit_code == 1
        assert f"Error: {run} is being trained by process {first.pid} on {socket.gethostname()}" in refused.output
    finally:
        first.kill()
        first.communicate()
    steps = checkpoint_steps(run)
    assert invoke(*command_line(tiny_shards, run)).exit_code == 0
    assert checkpoint_steps(run) != steps
