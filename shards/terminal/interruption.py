"""End a command within a second of SIGTERM or Ctrl-C, with one sentence, wherever it stands.

The signal becomes an exception, so that half-written files are removed on the way out. Where the program does not come
back in time (a hung file system, threads that are waited for, a long call of a library) a thread ends the process.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

GRACE_S = 0.6
"""For the way out; what is not done by then is left to the next call."""

_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C (SIGINT)"}
_BEFORE = {signal.SIGTERM: (signal.SIG_DFL,), signal.SIGINT: (signal.default_int_handler,)}
"""What the signals do in a plain program. A shell starts jobs of a script's background with SIGINT ignored."""


class Interrupted(BaseException):
    """A command was asked to end. No Exception: nothing may catch it as a fault of the data."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def ended_by_signals(command: str) -> Iterator[None]:
    """End the process by the signal itself when SIGTERM or Ctrl-C comes within the block, after a sentence on stderr.

    A shell then sees status 143 or 130. A block inside may have handlers of its own, as pretraining has, which finish
    the step. In another thread than the main one, and inside another such block, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number, plain in _BEFORE.items() if signal.getsignal(number) in plain]
    if not ours:
        yield
        return
    before = {number: signal.signal(number, _raise) for number in ours}
    out_of_block = threading.Event()
    with _watched(command, out_of_block):
        try:
            yield
        finally:
            if _heard:  # also where a library made another exception of it, or caught it
                _end(command, _heard[0])
            out_of_block.set()
            for number, handler in before.items():
                signal.signal(number, handler)


def ends_command(handler: object) -> bool:
    """Whether a handler of a signal is the one of `ended_by_signals`."""
    return handler is _raise


_heard: list[int] = []
"""The signals that have come; the first one ends the process."""


def _raise(number: int, _frame: FrameType | None) -> None:
    _heard.append(number)
    raise Interrupted(number)


@contextlib.contextmanager
def _watched(command: str, out_of_block: threading.Event) -> Iterator[None]:
    """Hear of signals in a thread too: a handler in Python waits until the main thread is back from its call."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)

    def watch() -> None:
        with os.fdopen(reads, "rb", buffering=0) as pipe:
            while heard := pipe.read(1):
                # A handler of the block inside does what is right by itself.
                if ends_command(signal.getsignal(heard[0])) and not out_of_block.wait(GRACE_S):
                    _end(command, heard[0])

    threading.Thread(target=watch, name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writes)


def _end(command: str, number: int) -> None:
    """Say what ended the command and let the signal end the process. From any thread."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    sentence = f"{command}: ended by {_NAMES[signal.Signals(number)]}; no file stands half-written under its name.\n"
    with contextlib.suppress(OSError):
        os.write(2, sentence.encode())
    # signal.signal works in the main thread only, which may be in a call that never comes back.
    system = ctypes.CDLL(None)
    system.signal.argtypes, system.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    system.signal(number, None)  # SIG_DFL
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _forget_pipe() -> None:
    """In a forked child: leave the parent's pipe alone, and let signals do what they do in a plain program."""
    if any(ends_command(signal.getsignal(number)) for number in _BEFORE):
        signal.set_wakeup_fd(-1)
        for number in _BEFORE:
            if ends_command(signal.getsignal(number)):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget_pipe)
