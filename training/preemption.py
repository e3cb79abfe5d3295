"""SIGUSR1 and SIGTERM as a wish to stop at the next step boundary, with a checkpoint (Slurm's --signal, scancel)."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

PREEMPTED_STATUS = 75
"""Exit status of a run that stopped after a checkpoint: run the same command again (EX_TEMPFAIL of sysexits.h)."""

_SIGNALS = (signal.SIGUSR1, signal.SIGTERM)


class StopRequest:
    """Whether, and by which signal, the run has been asked to stop. Set by a signal handler, read by the loop."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Note SIGUSR1 and SIGTERM instead of dying of them; what they did before is put back afterwards."""
    request = StopRequest()

    def note(number: int, _frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
