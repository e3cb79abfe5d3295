"""Open the directory of a run to train it: find out whether the run starts, resumes or is finished, and lock it."""

import logging
from dataclasses import dataclass

import torch

from shards.errors import ResumeError
from shards.loading.placement import Device
from training.backbones.backbone import init_name, initial_seen
from training.errors import RunError, WeightsError
from training.pretraining.options import PretrainOptions
from training.pretraining.refusals import refuse_long_queue, refuse_long_warmup, refuse_more_of_a_cosine
from training.pretraining.run import Run
from training.processes.devices import available_threads
from training.processes.ranks import Ranks
from training.runs.checkpoints import newest_whole, prune_checkpoints
from training.runs.directory import read_config, read_run, write_config, write_last
from training.runs.files import CHECKPOINTS, CONFIG, START_PATIENTS
from training.runs.full_disk import told_plainly
from training.runs.lock import RunLock
from training.runs.start import moved_start, write_start
from training.seen_patients import IMAGES, PATIENTS, Seen, read_seen, seen_by_training, write_seen

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """State of the run directory as the first process has found it.

    options: with what was left open filled in. begun: the directory holds a config. step: of the checkpoint to resume
    from. finished: what a finished run has done, in words. is_given_more: a finished run is to do more epochs.
    """

    options: PretrainOptions
    begun: bool = False
    step: int | None = None
    finished: str | None = None
    is_given_more: bool = False


def find_run(options: PretrainOptions, device: Device, lock: RunLock) -> Found:
    """Read the run directory of the options, and lock it where a run was started before. On rank 0.

    A run keeps the number of threads that its config records. Raises ResumeError for a run with other options, RunError
    for a folder that is no run or that is in use.
    """
    recorded = read_run(options.output)
    threads = options.threads or (recorded and recorded.threads) or available_threads()
    options = options.resolved(device=device, threads=threads)
    if recorded is None:
        return Found(options)
    last = recorded.last
    more = last is not None and last.finished and last.epoch < options.epochs
    free = moved_start(options.output, recorded.config, options.init, options.backbone)
    differences = options.differences(recorded.config, free | {"epochs"} if more else free)
    if differences:
        saved = (options.output / CHECKPOINTS).exists()
        way_out = "" if saved else " It has no checkpoint yet: the folder may be removed."
        raise ResumeError(
            f"{options.output} holds a run with other options, which this command cannot resume. "
            f"{differences}. Give the run's own options (they are in {CONFIG}) or another --output.{way_out}"
        )
    if last is not None and last.finished and not more:
        return Found(options, begun=True, finished=f"{last.step} steps, {last.epoch} epochs")
    lock.acquire(options.output)
    return Found(options, begun=True, step=newest_whole(options.output), is_given_more=more)


def start_or_resume(run: Run, found: Found, lock: RunLock) -> None:
    """Take the run directory: write what a new run begins with, or go back to the checkpoint found. On rank 0.

    Raises RunError where another process has started the run just now or the disk does not take it, TrainingError where
    its plan makes no sense.
    """
    with told_plainly(run.options.output):
        if found.step is None:
            _start(run, found, lock)
        else:
            _resume(run, found)


def _start(run: Run, found: Found, lock: RunLock) -> None:
    options = run.options
    refuse_long_queue(options, run.loader.samples)
    refuse_long_warmup(options)
    options.output.mkdir(parents=True, exist_ok=True)
    lock.acquire(options.output)
    if not found.begun and read_config(options.output) is not None:
        raise RunError(f"{options.output} has been started by another process just now. Run the same command again.")
    _write_config(run)
    before = _seen_before(run)
    write_seen(options.output, before + seen_by_training(run.datasets))
    if run.start_digest is not None:
        write_start(options.output, run.trainer.moco.query_encoder, options.backbone, before)
    if found.begun:
        _log.info("%s was started but has no checkpoint yet: starting at step 0.", options.output)
    _log.info(
        f"{options.backbone} from {init_name(options.init)} weights, {run.loader.samples} images of "
        f"{', '.join(dataset.name for dataset in run.datasets)}: {options.epochs} epochs of {len(run.loader)} "
        f"steps, {options.device}, {options.precision}, {options.threads} threads{_in_each(run.ranks)}."
    )


def _resume(run: Run, found: Found) -> None:
    output, steps = run.options.output, run.trainer.steps
    if found.is_given_more:
        refuse_more_of_a_cosine(run.options)
        # before last.json: killed in between, the run is given more once again
        _write_config(run)
    _mend_patients(run)
    prune_checkpoints(output, newest=steps)
    write_last(output, steps, run.trainer.epochs, finished=False)
    _log.info(f"{output}: resumes after step {steps} of {run.total_steps}{_in_each(run.ranks)}.")
    if run.processes_before != run.ranks.world_size:
        _log.info(
            f"It was trained in {run.processes_before} processes so far. Batches and views stay as they would be; "
            "sums are rounded otherwise, so the weights will not be the same to the last bit."
        )


def _mend_patients(run: Run) -> None:
    """Write the lists of patients and images again where they are damaged or missing: the run knows its datasets."""
    output, said = run.options.output, ""
    try:
        seen = read_seen(output)
        said = next((reason for reason in seen.unknown if f"holds no {PATIENTS}" in reason or IMAGES in reason), "")
    except WeightsError as error:
        said = str(error)
    if said:
        before = read_seen(output, START_PATIENTS) if (output / START_PATIENTS).is_file() else _seen_before(run)
        write_seen(output, before + seen_by_training(run.datasets))
        _log.warning("%s. It is written again from the datasets of the run.", said.rstrip("."))


def _seen_before(run: Run) -> Seen:
    """What the initial weights have seen; a warning where it is unknown. An import says by its datasets what it saw."""
    if run.start_digest is None:
        return Seen()
    seen = initial_seen(run.options.init, run.options.seen_patients)
    if seen.unknown:
        _log.warning(
            "%s. What is predicted from this run is refused as long as that is not known: copy the %s of these weights "
            "to them, or declare it by --seen-patients none|FILE.",
            "; ".join(seen.unknown),
            PATIENTS,
        )
    return seen


def _write_config(run: Run) -> None:
    remarks = [f"dataset {dataset.name}: {dataset.root}, digest {dataset.digest}" for dataset in run.datasets]
    write_config(run.options.output, run.options.as_config(), [*remarks, f"torch {torch.__version__}"])


def _in_each(ranks: Ranks) -> str:
    return f" in each of {ranks.world_size} processes" if ranks.world_size > 1 else ""
