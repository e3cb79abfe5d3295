"""Locks on files between processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shards.file_lock import lock_file, lock_holder, sign_lock

TRY = """
import sys
from pathlib import Path
from shards.file_lock import lock_file
try:
    lock_file(Path(sys.argv[1]), wait=False)
    print("locked")
except BlockingIOError:
    print("held")
"""


def tried_elsewhere(path: Path) -> str:
    """What another process finds that does not wait."""
    done = subprocess.run([sys.executable, "-c", TRY, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_lock_is_one_process_at_a_time_and_closing_the_file_releases_it(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / ".lock", wait=True)
    assert tried_elsewhere(tmp_path / ".lock") == "held"
    os.close(lock)
    assert tried_elsewhere(tmp_path / ".lock") == "locked"  # and the end of that process released it
    os.close(lock_file(tmp_path / ".lock", wait=False))


def test_a_lock_keeps_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 7")
    os.close(lock_file(tmp_path / ".lock", wait=False))
    assert (tmp_path / ".lock").read_text() == "process 7"


def test_the_holder_of_a_lock_is_named_once_it_has_signed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    lock = lock_file(path, wait=False)
    for content in ("", "[1]", '{"host": "node1"}', "[" * 100_000):
        path.write_text(content)
        assert lock_holder(path) == "another process (`fuser .lock` there names it)"
    sign_lock(lock)
    assert lock_holder(path).startswith(f"process {os.getpid()} on {socket.gethostname()} since 20")
    os.close(lock)


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock_file(tmp_path / "none" / ".lock", wait=True)


def test_only_one_module_of_the_project_calls_flock() -> None:
    root = Path(__file__).parents[2]
    packages = ("shards", "ingest", "training", "evaluation")
    calling = [path for package in packages for path in (root / package).rglob("*.py") if "fcntl" in path.read_text()]
    assert [str(path.relative_to(root)) for path in calling] == ["shards/file_lock.py"]
