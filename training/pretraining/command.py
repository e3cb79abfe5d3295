"""Pretraining, from shards to a run directory: look what is there, begin or go on, train, hand on the backbone.

Reads top to bottom; the run itself is in training.pretraining.run.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shards.errors import CxrError
from shards.loading.loaders import TwoViewLoader
from training.errors import RunError
from training.pretraining.options import FREE_OPTIONS, PretrainOptions
from training.pretraining.run import Outcome, Run, Start
from training.pretraining.trainer import Trainer
from training.processes.devices import available_threads, choose_device
from training.processes.ranks import Ranks, joined
from training.processes.signals import stop_on_signals
from training.processes.time_limit import TimeLimit
from training.runs.directory import (
    read_config,
    read_last,
    refuse_other_config,
)
from training.runs.full_disk import told_plainly
from training.runs.lock import RunLock
from training.runs.newest_checkpoint import newest_whole

__all__ = ["Outcome", "begin_at", "pretrain"]


def pretrain(options: PretrainOptions) -> Outcome:
    """Train until the last epoch, a signal (SIGUSR1, SIGTERM) or a time limit; go on with the run if it was begun.

    Started by srun or torchrun in several processes, these train one run together. Raises CxrError where data, weights
    or the run directory do not allow it.
    """
    limit = TimeLimit(options.time_limit, os.environ)
    with stop_on_signals() as stop, joined(choose_device(options.device)) as ranks, told_plainly(options.output):
        lock = RunLock(options.output)
        try:
            start = ranks.of_leader(lambda: _look(options, lock))
            if start.finished is not None:
                ranks.say(f"{options.output} is finished: {start.finished}. Nothing is left to do.")
                return Outcome.FINISHED
            with ranks.together():
                run = Run(start, ranks)
            try:
                run.begin_or_go_on(lock)
                return run.train(stop, limit)
            except CxrError as error:
                raise ranks.signed(error) from error
            finally:
                run.close()
        finally:
            lock.release()


def begin_at(options: PretrainOptions, place: Callable[[Trainer, TwoViewLoader], None]) -> Path:
    """Begin a run and write its first checkpoint, as `place` leaves trainer and loader; `pretrain` goes on from there.

    Returns the checkpoint. Raises RunError for a folder in which a run was begun before.
    """
    if read_config(options.output) is not None:
        raise RunError(f"{options.output} holds a run already. Give another folder.")
    lock = RunLock(options.output)
    run = Run(Start(_resolved(options, None)), Ranks.alone(), init="random")
    try:
        run.begin_or_go_on(lock)
        place(run.trainer, run.loader)
        return run.checkpoint()
    finally:
        run.close()
        lock.release()


def _look(options: PretrainOptions, lock: RunLock) -> Start:
    """Find out how to start; a run that was begun is locked from here on."""
    recorded = read_config(options.output)
    options = _resolved(options, recorded)
    if recorded is None:
        return Start(options)
    refuse_other_config(options.output, recorded, options.as_config(), FREE_OPTIONS)
    last = read_last(options.output)
    if last is not None and last.finished:
        return Start(options, begun=True, finished=f"{last.step} steps, {last.epoch} epochs")
    lock.acquire()
    return Start(options, begun=True, step=newest_whole(options.output))


def _resolved(options: PretrainOptions, recorded: dict[str, Any] | None) -> PretrainOptions:
    threads = options.threads or (recorded or {}).get("threads") or available_threads()
    return options.resolved(device=choose_device(options.device), threads=threads)
