"""Run a function in a child process that answers over a pipe, ends with its parent, and whose end is named.

Not multiprocessing.Process: its daemons may have no children of their own, as a worker that decodes DICOM files has,
and it imports the parent's main module once more.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TRY_AGAIN = (
    "out of memory, perhaps. Run the same command again (with fewer --workers, if it was memory): what is finished is "
    "kept."
)
"""What to do where it is not known what ended a process."""

_PARENT_IS_GONE = 1  # exit status


class ChildEndedError(Exception):
    """A child process that ended before it had answered. code: its exit code, negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(how_it_ended(code))
        self.code = code


class ChildProcess:
    """A child process and the parent's end of the pipe to it.

    name: stands in the child's command line. body: a function of some module, which is called in the child with its end
    of the pipe and the arguments; the child ends when it returns. quiet: drop what it writes to stdout and stderr.
    Ctrl-C reaches the parent only. When the parent ends, in whatever way, the child ends at once.
    """

    def __init__(self, name: str, body: Callable[..., None], *arguments: object, quiet: bool = False) -> None:
        self.pipe, there = Pipe()
        reads, writes = os.pipe()
        self._lifeline = os.fdopen(writes, "wb", buffering=0)  # closed by the system when this process ends
        paths = [path or str(Path.cwd()) for path in sys.path]
        code = (
            f"import sys; sys.path[:] = {paths!r}; from shards.child_process import begin; "
            f"begin({there.fileno()}, {reads})"
        )
        output = subprocess.DEVNULL if quiet else None
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, name],
            pass_fds=(there.fileno(), reads),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        there.close()
        os.close(reads)
        self.send((body, arguments))

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Send a picklable message. A child that has ended already is noticed when its answer is read."""
        with contextlib.suppress(ConnectionError):
            self.pipe.send(message)

    @contextlib.contextmanager
    def talk(self) -> Iterator["Connection[Any, Any]"]:
        """Give the pipe to a block that waits for an answer. Raises ChildEndedError where the child has ended."""
        try:
            yield self.pipe
        except (EOFError, ConnectionError):
            raise ChildEndedError(self.wait()) from None

    def wait(self) -> int:
        """Wait until the child has ended; returns its exit code, negative for a signal."""
        return self._process.wait()

    def stop(self) -> None:
        """Close the pipe and wait: a body that waits for a message ends by EOFError."""
        self.pipe.close()
        self.wait()
        self._lifeline.close()

    def kill(self) -> None:
        """End the child at once."""
        self._process.kill()
        self.stop()


def how_it_ended(code: int) -> str:
    """`by signal SIGKILL` or `with exit status 3`, from an exit code that is negative for a signal."""
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"


def begin(pipe_number: int, lifeline: int) -> None:
    """Call, in the child, the body that the parent sends. Both numbers are of inherited file descriptors."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    pipe: Connection[Any, Any] = Connection(pipe_number)
    body, arguments = pipe.recv()
    body(pipe, *arguments)


def _end_with_parent(lifeline: int) -> None:
    """Wait for the end of a pipe into which nobody writes: it comes when the parent's end is closed."""
    os.read(lifeline, 1)
    os._exit(_PARENT_IS_GONE)
