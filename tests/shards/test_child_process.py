"""Child processes: what they answer, how their end is named, and that they end with their parent."""

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from shards.child_process import ChildEndedError, ChildProcess
from tests.shards.processes import assert_ends_with_its_parent


def double(pipe: "Connection[Any, Any]", least: int) -> None:
    """Answer each number by twice as much; the least of them ends the process."""
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        if number < least:
            os._exit(3)
        print("not an answer", flush=True)
        pipe.send(2 * number)


def work_for_long(pipe: "Connection[Any, Any]") -> None:
    """Look at the pipe no more."""
    time.sleep(600)


def ask(child: ChildProcess, number: int) -> int:
    child.send(number)
    with child.talk() as pipe:
        return int(pipe.recv())


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    child = ChildProcess("cxr-test", double, 1)
    yield child
    child.kill()


def test_it_answers_until_the_pipe_is_closed(child: ChildProcess) -> None:
    assert [ask(child, number) for number in (3, 1, 70_000)] == [6, 2, 140_000]
    child.stop()
    assert child.wait() == 0


def test_its_name_stands_in_its_command_line(child: ChildProcess) -> None:
    ask(child, 1)
    assert Path(f"/proc/{child.pid}/cmdline").read_bytes().endswith(b"\0cxr-test\0")


def test_an_end_by_itself_is_named(child: ChildProcess) -> None:
    with pytest.raises(ChildEndedError, match="with exit status 3"):
        ask(child, 0)
    with pytest.raises(ChildEndedError, match="with exit status 3"):  # also when asked once more
        ask(child, 5)


def test_an_end_by_a_signal_is_named(child: ChildProcess) -> None:
    ask(child, 1)
    os.kill(child.pid, signal.SIGSEGV)
    child.wait()
    with pytest.raises(ChildEndedError, match="by signal SIGSEGV") as end:
        ask(child, 1)
    assert end.value.code == -signal.SIGSEGV


def test_ctrl_c_is_the_parents_alone(child: ChildProcess) -> None:
    ask(child, 1)
    os.kill(child.pid, signal.SIGINT)
    assert ask(child, 2) == 4


@pytest.mark.parametrize("body", ["double, 1", "work_for_long"])
def test_it_ends_with_its_parent_also_in_the_middle_of_its_work(body: str) -> None:
    code = (
        "from shards.child_process import ChildProcess; from tests.shards.test_child_process import *;"
        f"child = ChildProcess('cxr-test', {body}); print(child.pid, flush=True); input()"
    )
    assert_ends_with_its_parent(code, after_s=0.5)  # it has begun, and waits for a message or sleeps
