"""Look at processes of this machine: whether a child ends with its parent."""

import subprocess
import sys
import time
from pathlib import Path

_LONGEST_S = 30


def assert_ends_with_its_parent(code: str, *, after_s: float = 0.0) -> None:
    """Run `code`, which prints the number of a child that it starts and waits for a line; kill it: the child ends too.

    after_s: how long the child works before its parent is killed.
    """
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(after_s)
        assert is_running(child)
        parent.kill()
    end = time.monotonic() + _LONGEST_S
    while is_running(child):
        assert time.monotonic() < end, "the child outlived its parent"
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether there is such a process and it is no zombie."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
