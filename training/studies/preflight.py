"""Look for whatever would stop a sweep after hours, before its first one; all problems are named at once."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from shards.errors import CxrError
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from shards.selection.row_filter import filtered
from shards.terminal.progress import size_in_units
from training.backbones.backbone import initial_backbone, initial_seen, with_declared
from training.downstream.options import ALL
from training.downstream.preprocessing import refuse_other_size
from training.downstream.start import label_policy, training_rows
from training.errors import StudyError
from training.labels import check_labels, refuse_one_class, targets
from training.leakage import refuse_seen
from training.pretraining.options import PretrainOptions
from training.pretraining.refusals import batch_norm_groups, mask_group, refuse_long_queue, refuse_long_warmup
from training.runs.backbone_from import load_backbone
from training.seen_patients import seen_by_training
from training.studies.cells import Cell, CellOptions, RunPlan, Selection
from training.studies.costs import bytes_of
from training.studies.study_file import RUN, StudyDataset
from training.studies.training_parts import Place, is_pretrained


def preflight(place: Place, selection: Selection) -> None:
    """Check weights, labels, splits and their counts, patients in two splits, leakage, classes and disk.

    Raises StudyError that names every problem, file and key or folder with each.
    """
    problems: list[str] = []
    looked_at = _Preflight(place, selection, problems)
    looked_at.look()
    if problems:
        told = list(dict.fromkeys(problems))
        head = f"{place.study.path} cannot be trained as it stands: {len(told)} problems"
        raise StudyError("\n".join([head, *(f"  {problem}" for problem in told)]))


class _Preflight:
    """State: the datasets that could be opened, by their name in the study file, and the problems found so far."""

    def __init__(self, place: Place, selection: Selection, problems: list[str]) -> None:
        self._place, self._selection, self._problems = place, selection, problems
        self._datasets: dict[str, Dataset] = {}

    def look(self) -> None:
        """Find all problems."""
        unfinished = [run for run in self._selection.runs if not is_pretrained(self._place, run)]
        names = {name for run in self._selection.runs for name in run.pretraining.shards}
        names |= {cell.target.dataset for cell in self._selection.cells}
        for name, dataset in self._place.study.datasets.items():
            if name in names:
                self._try(f"datasets.{name}", self._open, name, dataset)
        for run in unfinished:
            options = run.options(self._place.study, data=self._place.data, output=self._place.output)
            options = options.resolved(device=self._place.device, threads=self._place.threads)
            for check in (self._weights, self._queue, refuse_long_warmup, mask_group, _groups):
                self._try(f"pretraining.{run.pretraining.name}", check, options)
        for run in self._selection.runs:
            self._leakage(run)
        for cell in _one_an_effect(self._selection.cells):
            self._try(f"targets.{cell.target.name}", self._labels, cell)
        for cells in _of_other_weights(self._selection.cells):
            self._try(f"arms.{cells[0].arm.name}", self._other_weights, cells)
        self._disk(unfinished)

    def _try(self, key: str, check: Callable[..., object], *arguments: object) -> None:
        """Note what a check refuses. key: of the study file, which has what is to be changed."""
        try:
            check(*arguments)
        except CxrError as error:
            self._problems.append(f"{key}: {error}")

    def _open(self, name: str, expected: StudyDataset) -> None:
        dataset = open_dataset(self._place.data / expected.shards)
        self._datasets[name] = dataset
        for split, count in expected.splits.items():
            found = len(select(dataset, split))
            if (count is None and not found) or (count is not None and found != count):
                wanted = "some are" if count is None else f"{count} are"
                self._problems.append(f"{dataset.root}: {found} samples in the {split} split, {wanted} expected")
        by_patient = dataset.samples.groupby("patient_id")["split"].nunique()
        several = list(by_patient.index[by_patient > 1])
        if several:
            self._problems.append(f"{dataset.root}: {len(several)} patients are in two splits, such as {several[0]}")

    def _weights(self, options: PretrainOptions) -> None:
        if options.init != "random":
            initial_backbone(options.init, options.backbone, options.seed)

    def _queue(self, options: PretrainOptions) -> None:
        roots = {dataset.root: dataset for dataset in self._datasets.values()}
        if all(path in roots for path in options.shards):
            datasets = [filtered(roots[path], options.row_filter, ("train",)) for path in options.shards]
            refuse_long_queue(options, sum(len(select(dataset, "train")) for dataset in datasets))

    def _leakage(self, run: RunPlan) -> None:
        pretrained_on = [self._datasets[name] for name in run.pretraining.shards if name in self._datasets]
        if not pretrained_on:
            return
        options = run.options(self._place.study, data=self._place.data, output=self._place.output)
        try:
            seen = seen_by_training([filtered(dataset, options.row_filter, ("train",)) for dataset in pretrained_on])
            if Path(options.init).is_file() and not is_pretrained(self._place, run):
                seen += initial_seen(options.init, options.seen_patients)
        except CxrError as error:
            self._problems.append(str(error))
            return
        split = self._place.study.evaluation.split
        for name in {cell.target.dataset for cell in self._selection.cells if cell.run == run} & set(self._datasets):
            dataset = self._datasets[name]
            rows = select(dataset, split)
            self._try(f"datasets.{name}", refuse_seen, seen, dataset, rows, split)

    def _other_weights(self, cells: list[Cell]) -> None:
        """Load the weights of an arm that is no part of the run, and check what they have seen."""
        study, output = self._place.study, self._place.output
        options = cells[0].options(study, data=self._place.data, output=output)
        backbone = load_backbone(
            options.backbone_from,
            architecture=options.backbone,
            image_size=options.image_size,
            mean=0.0,
            std=1.0,
            weights=options.weights,
        )
        if cells[0].arm.preprocessing == RUN:
            if backbone.initial == "moco":
                raise StudyError("another pretraining run keeps its own preprocessing: say `preprocessing: own`")
            of_run = cells[0].run.options(study, data=self._place.data, output=output)
            refuse_other_size(backbone.architecture, of_run.image_size, f"the run {cells[0].run.name} is to have")
        seen = with_declared(backbone.seen, options.seen_patients)
        split = study.evaluation.split
        for name in {cell.target.dataset for cell in cells} & set(self._datasets):
            refuse_seen(seen, self._datasets[name], select(self._datasets[name], split), split)

    def _labels(self, cell: Cell) -> None:
        dataset = self._datasets.get(cell.target.dataset)
        if dataset is None:
            return
        options = cell.options(self._place.study, data=self._place.data, output=self._place.output)
        dataset = filtered(dataset, options.row_filter)
        if options.labels == (ALL,):
            return
        where = f"targets.{cell.target.name}"
        self._try(where, check_labels, options.labels, dataset)
        self._try(where, check_labels, getattr(options, "select_by", ()) or options.labels, dataset)
        labels = tuple(label for label in options.labels if label in dataset.label_names)
        rows = training_rows(dataset, options)
        of_fraction = f"{dataset.root}, {_fraction(options)} ({len(rows)} samples)"
        refuse_one_class(targets(rows, labels, label_policy(options)), labels, of_fraction)

    def _disk(self, unfinished: list[RunPlan]) -> None:
        needed = bytes_of(self._place, dataclasses.replace(self._selection, runs=tuple(unfinished)))
        folder = _present(self._place.output)
        free = shutil.disk_usage(folder).free
        if needed > free:
            self._problems.append(
                f"{self._place.output}: {size_in_units(needed)} are needed, {size_in_units(free)} are free"
            )


def _groups(options: PretrainOptions) -> None:
    batch_norm_groups(options, options.batch_size)


def _fraction(options: CellOptions) -> str:
    return f"label fraction {options.label_fraction} of draw {options.draw}"


def _one_an_effect(cells: tuple[Cell, ...]) -> Iterator[Cell]:
    """Cells whose training rows and labels differ: runs, seeds and arms share them."""
    seen = set()
    for cell in cells:
        effect = (cell.method, cell.variant.name, cell.target.name, cell.fraction, cell.draw)
        if effect not in seen:
            seen.add(effect)
            yield cell


def _of_other_weights(cells: tuple[Cell, ...]) -> Iterator[list[Cell]]:
    """The cells of each arm that is no part of its run, those of one pretraining together."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.arm.at is None:
            groups.setdefault((cell.run.pretraining.name, cell.arm.name), []).append(cell)
    yield from groups.values()


def _present(folder: Path) -> Path:
    """The nearest folder at or above a path that is there."""
    return next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
