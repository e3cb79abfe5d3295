"""Pretrain from shards to a run directory: read what is there, start or resume, train, write the backbone."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from shards.loading.loaders import TwoViewLoader
from training.errors import RunError
from training.pretraining.options import PretrainOptions
from training.pretraining.run import Outcome, Run
from training.pretraining.run_directory import find_run, start_or_resume
from training.pretraining.trainer import Trainer
from training.processes.devices import choose_device
from training.processes.ranks import Ranks, joined
from training.processes.signals import stop_on_signals
from training.processes.time_limit import TimeLimit
from training.runs.directory import read_config
from training.runs.lock import RunLock

__all__ = ["Outcome", "pretrain", "start_run_at"]


def pretrain(options: PretrainOptions) -> Outcome:
    """Train until the last epoch, a signal (SIGUSR1, SIGTERM) or a time limit; resume the run if it was started.

    Started by srun or torchrun in several processes, these train one run together. Raises CxrError where data, weights
    or the run directory do not allow it.
    """
    limit, lock, device = TimeLimit(options.time_limit, os.environ), RunLock(), choose_device(options.device)
    with stop_on_signals() as stop, joined(device) as ranks, closing(lock):
        found = ranks.of_leader(lambda: find_run(options, device, lock))
        if found.finished is not None:
            ranks.say(f"{options.output} is finished: {found.finished}. Nothing is left to do.")
            return Outcome.FINISHED
        with ranks.together():
            run = Run(found.options, ranks, resume_from=found.step)
        with ranks.signing(), run:
            run.agree()
            ranks.of_leader(lambda: start_or_resume(run, found, lock))
            return run.train(stop, limit)


def start_run_at(options: PretrainOptions, place: Callable[[Trainer, TwoViewLoader], None]) -> Path:
    """Start a run and write its first checkpoint, as `place` leaves trainer and loader; `pretrain` resumes from there.

    Returns the checkpoint. Raises RunError for a folder in which a run was started before.
    """
    if read_config(options.output) is not None:
        raise RunError(f"{options.output} holds a run already. Give another folder.")
    with closing(RunLock()) as lock:
        found = find_run(options, choose_device(options.device), lock)
        with Run(found.options, Ranks.alone(), imported=True) as run:
            start_or_resume(run, found, lock)
            place(run.trainer, run.loader)
            return run.checkpoint()
