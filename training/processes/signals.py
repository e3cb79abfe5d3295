"""Stop requests: SIGUSR1, SIGTERM (Slurm's --signal, scancel), Ctrl-C or a time limit, checked between steps.

srun and scancel send a signal to all processes of a step. A run has no helper processes that the signal could kill:
DALI and tensorboard work with threads (`test_a_run_has_no_helper_processes_that_a_signal_to_the_job_step_could_kill`).
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from shards.terminal.interruption import ends_command

PREEMPTED_STATUS = 75
"""Exit status of a run that stopped after a checkpoint: run the same command again (EX_TEMPFAIL of sysexits.h)."""

_SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether, and by what, the run has been asked to stop. Set by a signal handler or the loop, read by the loop."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def __bool__(self) -> bool:
        return self.reason is not None

    def ask(self, reason: str) -> None:
        """Ask to stop; `reason` is the name of a signal or of a limit. The first one stays."""
        self.reason = self.reason or reason


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Note SIGUSR1, SIGTERM and the first Ctrl-C instead of dying of them; a second Ctrl-C ends the process at once.

    What they did before is put back afterwards; a handler of the program around it then hears of the signal too, so
    that a request that came with the last step is not lost. In another thread than the main one nothing is changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    heard: list[signal.Signals] = []

    def note(number: int, _frame: FrameType | None) -> None:
        heard.append(signal.Signals(number))
        request.ask(signal.Signals(number).name)
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if heard and _hears_more(before[heard[0]]):
            signal.raise_signal(heard[0])


def _hears_more(handler: object) -> bool:
    """Whether a handler is of a program around the run; not one that would end the command instead of its status."""
    return callable(handler) and handler is not signal.default_int_handler and not ends_command(handler)
