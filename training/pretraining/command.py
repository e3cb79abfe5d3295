"""Pretrain from shards to a run directory: read what is there, start or resume, train, write the backbone."""

import os
from collections.abc import Callable
from pathlib import Path

from shards.loading.loaders import TwoViewLoader
from training.errors import RunError
from training.pretraining.options import PretrainOptions
from training.pretraining.run import Outcome, Run
from training.pretraining.run_directory import opened
from training.pretraining.trainer import Trainer
from training.processes.devices import choose_device
from training.processes.ranks import Ranks, joined
from training.processes.signals import stop_on_signals
from training.processes.time_limit import TimeLimit
from training.runs.directory import read_config

__all__ = ["Outcome", "pretrain", "start_run_at"]


def pretrain(options: PretrainOptions) -> Outcome:
    """Train until the last epoch, a signal (SIGUSR1, SIGTERM) or a time limit; resume the run if it was started.

    Started by srun or torchrun in several processes, these train one run together. Raises CxrError where data, weights
    or the run directory do not allow it.
    """
    limit = TimeLimit(options.time_limit, os.environ)
    options = options.resolved(choose_device(options.device))
    with stop_on_signals() as stop, joined(options.device) as ranks, opened(options, ranks) as directory:
        found = directory.found
        if found.finished is not None:
            ranks.say(f"{options.output} is finished: {found.finished}. Nothing is left to do.")
            return Outcome.FINISHED
        with ranks.together():
            run = Run(found.options, ranks, resume_from=found.step)
        with ranks.signing(), run:
            run.agree()
            directory.start_or_resume(run)
            return run.train(stop, limit)


def start_run_at(options: PretrainOptions, place: Callable[[Trainer, TwoViewLoader], None]) -> Path:
    """Start a run and write its first checkpoint, as `place` leaves trainer and loader; `pretrain` resumes from there.

    Returns the checkpoint. Raises RunError for a folder in which a run was started before.
    """
    if read_config(options.output) is not None:
        raise RunError(f"{options.output} holds a run already. Give another folder.")
    options, ranks = options.resolved(choose_device(options.device)), Ranks.alone()
    with opened(options, ranks) as directory, Run(directory.found.options, ranks, imported=True) as run:
        directory.start_or_resume(run)
        place(run.trainer, run.loader)
        return run.checkpoint()
