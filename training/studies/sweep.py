"""Train a study: its pretraining runs, then its cells; what is finished stays, a failed cell stops no other."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from shards.errors import CxrError
from shards.own_files import leftover_of, stranger
from shards.terminal.progress import duration, progress
from training.errors import StudyError
from training.options import PlainValue
from training.pretraining.command import Outcome
from training.processes.launch import launch_of
from training.runs.directory import read_config
from training.runs.files import CHECKPOINTS
from training.studies.cells import CELLS, RUNS, Cell, RunPlan, Selection
from training.studies.preflight import preflight
from training.studies.records import CHANGED, FINISHED, STUDY_FILE, CellState, cell_record, cell_state, write_study
from training.studies.shared_inputs import SharedInputs
from training.studies.stopping import Stopped
from training.studies.study_file import read_study
from training.studies.training_parts import DONE, ELSEWHERE, FAILED, Ended, Place, is_pretrained, train_cell, train_run
from training.studies.workers import trained_by_workers

_OF_A_STUDY = frozenset({STUDY_FILE, RUNS, CELLS, "embeddings", "logs"})
"""What of a study's folder may be there before its study file: a cluster's logs, and what an earlier release wrote."""
_IN_A_CELL = re.compile(
    r"(?:model|cell|done|failed)\.json|model\.safetensors|(?:run_)?(?:patients|images)\.parquet|metrics\.jsonl|"
    r"\.cxr-model|\.lock|(?:train|valid|test)\.csv(?:\.json)?|step-\d{8,}\.pt(?:\.damaged)?"
)
"""Files of a cell and of its checkpoints."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """Which part of the work this process does: that of number `index` of `count`."""

    index: int = 0
    count: int = 1


@dataclass
class SweepResult:
    """How a sweep ended. already: cells that were done before. failed: path -> error. elsewhere: of other processes."""

    cells: int
    already: int = 0
    trained: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)


def sweep(
    place: Place, selection: Selection, task: Task, *, workers: int = 1, redo_changed: bool = False
) -> SweepResult:
    """Train what is missing of a selection.

    Raises StudyError for cells and finished runs made with other options than the file has now, and for what the
    preflight finds; Stopped after a signal or a time limit.
    """
    cells = selection.cells[task.index :: task.count]
    states = {cell.path: cell_state(place.output / cell.path, cell_record(place.study, cell)) for cell in cells}
    missing = [cell for cell in cells if states[cell.path].state != FINISHED]
    runs = _runs_of_task(selection, missing, task)
    refuse_changed_runs(place, runs)
    refuse_changed(place, states, redo_changed=redo_changed)
    if missing and launch_of(os.environ).world_size > 1:
        raise StudyError("cells are trained by one process each: start several processes with --only 'runs/*' only")
    result = SweepResult(cells=len(cells), already=len(cells) - len(missing))
    todo = Selection(tuple(runs), tuple(missing))
    preflight(place, todo)
    _refuse_others_folder(place)
    write_study(place.study, place.output)
    broken = _pretrain(place, todo.runs, result)
    ready = [cell for cell in missing if cell.run.path not in broken]
    for cell in missing:
        if cell.run.path in broken:
            result.failed[cell.path] = f"{cell.run.path} is not finished"
    with progress(len(cells), f"cells of {place.study.name}", "cells", initial=result.already) as bar:
        trained = _by_workers(place, ready, workers) if workers > 1 else _one_by_one(place, ready)
        for ended in trained:
            _note(ended, result)
            bar.advance(1, failed=len(result.failed))
    return result


def refuse_changed_runs(place: Place, runs: Sequence[RunPlan]) -> None:
    """Raise StudyError naming the finished runs that the study file now makes otherwise: hours are not thrown away."""
    lines = []
    for run in runs:
        differing = _differing_options(place, run) if is_pretrained(place, run) else {}
        if differing:
            lines.append(f"  {run.path}: {'; '.join(_difference(*one) for one in differing.items())}")
    if lines:
        raise StudyError(
            f"{place.study.path} has changed: {len(lines)} finished pretraining runs of {place.output} have other "
            "options.\n" + "\n".join(lines) + "\nA finished run is never trained again. Give another --output, or give "
            "the pretraining another name in the study file, or move the run's folder away: --redo-changed trains its "
            "cells again then."
        )


def _differing_options(place: Place, run: RunPlan) -> Mapping[str, tuple[PlainValue, PlainValue]]:
    """Options that change weights and that a finished run records otherwise than the study file has them now."""
    options = run.options(place.study, data=place.data, output=place.output)
    recorded = read_config(options.output)
    if recorded is None:
        return {}
    return options.resolved(device="cpu", threads=1).differing(recorded, ("device", "threads", "seen_patients"))


def _difference(name: str, values: tuple[object, object]) -> str:
    """Say what an option was and is; of the digest of a pretraining's options that they differ."""
    if name == "pretraining":
        return "its pretraining has other options"
    return f"{name} was {values[0]!r}, is {values[1]!r}"


def refuse_changed(place: Place, states: dict[str, CellState], *, redo_changed: bool) -> None:
    """Name the cells that the study file now makes otherwise; raise StudyError, or remove what is there on request."""
    changed = {path: state for path, state in states.items() if state.state == CHANGED}
    if not changed:
        return
    lines = []
    for path, state in changed.items():
        lines.append(f"  {path}: {'; '.join(_difference(*one) for one in state.differing.items())}")
    if not redo_changed:
        raise StudyError(
            f"{place.study.path} has changed: {len(changed)} cells of {place.output} were made with other options.\n"
            + "\n".join(lines)
            + "\nTrain them again with --redo-changed, or give another --output."
        )
    _log.warning("%d cells are trained again, with the options of now:\n%s", len(changed), "\n".join(lines))
    for path in changed:
        _remove_files_of_a_cell(place.output / path)


def _remove_files_of_a_cell(cell: Path) -> None:
    """Remove what we have written into a cell's folder, and the folder if nothing else is in it."""
    for folder in (cell / CHECKPOINTS, cell):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and (_IN_A_CELL.fullmatch(path.name) or leftover_of(path) is not None):
                path.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()


def _refuse_others_folder(place: Place) -> None:
    """A folder with a study file is one of ours; so is one with nothing but what may be there before that."""
    study = place.output / STUDY_FILE
    given = {place.study.path.resolve(), *(place.study.path.parent / p.recipe for p in place.study.pretraining)}
    if study.is_file() and study.resolve() not in given:
        read_study(study)
        return
    found = stranger(place.output, lambda name: name in _OF_A_STUDY or (place.output / name).resolve() in given)
    if found is not None:
        raise StudyError(
            f"{place.output} is not empty: {found.name} is there, and no {STUDY_FILE}. Give another --output."
        )


def _runs_of_task(selection: Selection, missing: Sequence[Cell], task: Task) -> list[RunPlan]:
    """Runs to train: those of the task's cells, and of the others of a selection without cells its part.

    Tasks begin with different runs, so that those that begin together train several.
    """
    needed = {cell.run.path for cell in missing}
    own = selection.runs[task.index :: task.count]
    first = task.index % max(len(selection.runs), 1)
    in_turn = (*selection.runs[first:], *selection.runs[:first])
    return [run for run in in_turn if run.path in needed or (run in own)]


def _pretrain(place: Place, runs: Sequence[RunPlan], result: SweepResult) -> set[str]:
    """Train the runs; returns the paths of those that failed."""
    broken = set()
    for number, run in enumerate(runs, start=1):
        if is_pretrained(place, run):
            continue
        _log.info("pretraining %d of %d: %s", number, len(runs), run.path)
        try:
            if train_run(place, run) is Outcome.PREEMPTED:
                raise Stopped(f"{run.path} has a checkpoint")
        except CxrError as error:
            result.failed[run.path] = str(error)
            broken.add(run.path)
            _log.error("%s failed: %s", run.path, error)
    return broken


def _by_workers(place: Place, cells: Sequence[Cell], workers: int) -> Iterator[Ended]:
    share = replace(place, threads=max(1, place.threads // workers))
    return trained_by_workers(share, cells, min(workers, len(cells)))


def _one_by_one(place: Place, cells: Sequence[Cell]) -> Iterator[Ended]:
    inputs = SharedInputs()
    for cell in cells:
        yield train_cell(place, cell, inputs)


def _note(ended: Ended, result: SweepResult) -> None:
    if ended.how == DONE:
        result.trained += 1
        _log.info("%s: done in %s", ended.path, duration(ended.seconds))
    elif ended.how == ELSEWHERE:
        result.elsewhere.append(ended.path)
    elif ended.how == FAILED:
        result.failed[ended.path] = ended.error
        _log.error("%s failed: %s", ended.path, ended.error)
