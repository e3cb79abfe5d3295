"""Train one part of a study in this process: a pretraining run, or a cell from its options to its done-record."""

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from shards.disk_errors import said_plainly
from shards.errors import CxrError
from training.claims import claimed, waited_for
from training.downstream.finetune import finetune
from training.downstream.model_directory import already_done
from training.downstream.options import FinetuneOptions, ProbeOptions
from training.downstream.probe import probe
from training.downstream.start import Start, recorded_options
from training.errors import PreemptedError
from training.pretraining.command import Outcome, pretrain
from training.processes.launch import launch_of
from training.processes.stopping_options import MINUTES
from training.runs.directory import read_last
from training.runs.files import CONFIG
from training.studies.cells import Cell, RunPlan, StudyFolder
from training.studies.records import FINISHED, cell_record, cell_state, write_done, write_failed, write_planned
from training.studies.shared_inputs import SharedInputs
from training.studies.stopping import Stopped

EMBEDDINGS = "embeddings"

DONE, FAILED, ELSEWHERE, STOPPED = "done", "failed", "elsewhere", "stopped"
"""How a part ended. elsewhere: another process is at it. stopped: after a checkpoint, by a signal or time limit."""


@dataclass(frozen=True, kw_only=True)
class Place(StudyFolder):
    """Where a study is read and written, and where it computes. threads: of one process."""

    device: str
    threads: int
    stage_to: Path | None = None
    checkpoint_minutes: float = MINUTES


@dataclass(frozen=True)
class Ended:
    """How a part ended. error: of a failed one, for a person."""

    path: str
    how: str
    error: str = ""
    seconds: float = 0.0


def is_pretrained(place: Place, run: RunPlan) -> bool:
    """Whether a pretraining run is finished."""
    last = read_last(place.output / run.path)
    return last is not None and last.finished


def train_run(place: Place, run: RunPlan) -> Outcome:
    """Pretrain, or resume, or do nothing where the run is finished. Waits while another process trains it.

    The processes of one run, started by srun or torchrun, do not wait for each other: the run has a lock of its own.
    """
    folder = place.output / run.path
    alone = launch_of(os.environ).world_size == 1
    with waited_for(folder, run.path) if alone else contextlib.nullcontext():
        if is_pretrained(place, run):
            return Outcome.FINISHED
        options = run.options(place.study, data=place.data, output=place.output)
        threads = None if (folder / CONFIG).is_file() else place.threads
        options = replace(options, device=place.device, threads=threads, stage_to=place.stage_to)
        return pretrain(replace(options, checkpoint_minutes=place.checkpoint_minutes))


def train_cell(place: Place, cell: Cell, inputs: SharedInputs) -> Ended:
    """Train a cell unless it is done or another process is at it. An error of the cell is recorded and returned."""
    folder, record = place.output / cell.path, cell_record(place.study, cell)
    began = time.monotonic()
    with claimed(folder) as mine:
        if not mine:
            return Ended(cell.path, ELSEWHERE)
        if cell_state(folder, record).state == FINISHED:
            return Ended(cell.path, DONE)
        try:
            write_planned(folder, record)
            _train(place, cell, inputs)
        except PreemptedError as error:
            raise Stopped(str(error)) from error
        except Exception as error:  # noqa: BLE001 - whatever a cell raises, the others are trained
            said = _said(error)
            write_failed(folder, said)
            return Ended(cell.path, FAILED, said, time.monotonic() - began)
        seconds = time.monotonic() - began
        write_done(folder, record, seconds)
        return Ended(cell.path, DONE, seconds=seconds)


def _said(error: Exception) -> str:
    """What a cell raised, for a person."""
    plainly = said_plainly(error) if isinstance(error, OSError) else None
    return plainly or (str(error) if isinstance(error, CxrError) else f"{type(error).__name__}: {error}")


def _train(place: Place, cell: Cell, inputs: SharedInputs) -> None:
    torch.set_num_threads(place.threads)
    options = cell.options(place.study, data=place.data, output=place.output)
    options = replace(options, device=place.device, threads=place.threads)
    start = inputs.begin(options)
    if isinstance(options, ProbeOptions):
        options = replace(options, cache=place.output / EMBEDDINGS)
        if not _is_trained(start, options):
            probe(start, options, inputs.features)
    else:
        options = replace(options, stage_to=place.stage_to, checkpoint_minutes=place.checkpoint_minutes)
        if not _is_trained(start, options):
            finetune(start, options)


def _is_trained(start: Start, options: ProbeOptions | FinetuneOptions) -> bool:
    return already_done(options.output, recorded_options(start, options))
