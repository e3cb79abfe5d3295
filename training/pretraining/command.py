"""Pretrain from shards to a run directory: read what is there, start or resume, train, write the backbone."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from shards.loading.loaders import TwoViewLoader
from training.errors import RunError
from training.pretraining.options import PretrainOptions
from training.pretraining.resumption import Start, find_start, resolved
from training.pretraining.run import Outcome, Run
from training.pretraining.trainer import Trainer
from training.processes.devices import choose_device
from training.processes.ranks import Ranks, joined
from training.processes.signals import stop_on_signals
from training.processes.time_limit import TimeLimit
from training.runs.directory import read_config
from training.runs.full_disk import told_plainly
from training.runs.lock import RunLock

__all__ = ["Outcome", "pretrain", "start_run_at"]


def pretrain(options: PretrainOptions) -> Outcome:
    """Train until the last epoch, a signal (SIGUSR1, SIGTERM) or a time limit; resume the run if it was started.

    Started by srun or torchrun in several processes, these train one run together. Raises CxrError where data, weights
    or the run directory do not allow it.
    """
    limit = TimeLimit(options.time_limit, os.environ)
    with contextlib.ExitStack() as stack:  # left in the opposite order
        stop = stack.enter_context(stop_on_signals())
        ranks = stack.enter_context(joined(choose_device(options.device)))
        stack.enter_context(told_plainly(options.output))
        lock = RunLock(options.output)
        stack.callback(lock.release)
        start = ranks.of_leader(lambda: find_start(options, lock))
        if start.finished is not None:
            ranks.say(f"{options.output} is finished: {start.finished}. Nothing is left to do.")
            return Outcome.FINISHED
        with ranks.together():
            run = Run(start, ranks)
        stack.enter_context(ranks.signing())
        stack.callback(run.close)
        run.start_or_resume(lock)
        return run.train(stop, limit)


def start_run_at(options: PretrainOptions, place: Callable[[Trainer, TwoViewLoader], None]) -> Path:
    """Start a run and write its first checkpoint, as `place` leaves trainer and loader; `pretrain` resumes from there.

    Returns the checkpoint. Raises RunError for a folder in which a run was started before.
    """
    if read_config(options.output) is not None:
        raise RunError(f"{options.output} holds a run already. Give another folder.")
    lock = RunLock(options.output)
    run = Run(Start(resolved(options, None)), Ranks.alone(), init="random")
    try:
        run.start_or_resume(lock)
        place(run.trainer, run.loader)
        return run.checkpoint()
    finally:
        run.close()
        lock.release()
