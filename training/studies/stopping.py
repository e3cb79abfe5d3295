"""Stop a sweep on SIGUSR1, SIGTERM or Ctrl-C; a second signal ends the process."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """A sweep was asked to stop. No Exception: a cell that is left off has not failed."""


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped on the first signal, wherever the program stands; what signals did before is put back then.

    Every file of a study is whole or absent, so a probe that is left off is fitted again by the next sweep. While it
    pretrains or fine-tunes, `training.processes.signals.stop_on_signals` hears the signals first: the step is finished
    and a checkpoint written before Stopped is raised, and the next sweep resumes there.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise Stopped(signal.Signals(number).name)

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
