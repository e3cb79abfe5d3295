"""Expand a study to its pretraining runs, its cells (one model each) and the comparisons of its arms."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from training.backbones.architectures import is_timm
from training.downstream.options import FinetuneOptions, ProbeOptions
from training.errors import StudyError
from training.pretraining.options import PretrainOptions
from training.studies.option_values import METHODS
from training.studies.study_file import OWN, RUN, Arm, Pretraining, Study, Target, Variant, fraction_text

RUNS, CELLS = "runs", "cells"
"""Folders of a study."""
MOST_CELLS = 100_000

CellOptions = ProbeOptions | FinetuneOptions


@dataclass(frozen=True)
class StudyFolder:
    """A study, the folder below which its datasets are, and the folder that it is written to."""

    study: Study
    data: Path
    output: Path


@dataclass(frozen=True)
class RunPlan:
    """One pretraining run of a study."""

    pretraining: Pretraining
    seed: int

    @property
    def name(self) -> str:
        """Name of the run directory."""
        return f"{self.pretraining.name}-seed{self.seed}"

    @property
    def path(self) -> str:
        """Path of the run directory in the study's folder."""
        return f"{RUNS}/{self.name}"

    def options(self, study: Study, *, data: Path, output: Path) -> PretrainOptions:
        """Options of `cxr-train pretrain`. data: folder of the datasets. output: of the study."""
        shards = tuple(data / study.datasets[name].shards for name in self.pretraining.shards)
        values = dict(self.pretraining.settings.values)
        return PretrainOptions(**{**values, "shards": shards, "output": output / self.path, "seed": self.seed})


@dataclass(frozen=True)
class Cell:
    """One model of a study: an arm of a run, trained by a method under a variant on a draw of a target's fraction."""

    run: RunPlan
    arm: Arm
    method: str
    variant: Variant
    target: Target
    fraction: float
    draw: int

    @property
    def name(self) -> str:
        """Name of the cell's directory."""
        return (
            f"{self.run.pretraining.name}-{self.arm.name}-seed{self.run.seed}-{self.method}-{self.variant.name}-"
            f"{self.target.name}-{fraction_text(self.fraction)}-draw{self.draw}"
        )

    @property
    def path(self) -> str:
        """Path of the cell's directory in the study's folder."""
        return f"{CELLS}/{self.name}"

    def options(self, study: Study, *, data: Path, output: Path) -> CellOptions:
        """Options of the command that trains it; a variant beats methods and labels, the target's own beat a variant.

        data: folder of the datasets. output: of the study. seed: the study's + the draw, so that draws differ in both.
        """
        kind = METHODS[self.method]
        settings = study.methods[self.method] | self.variant.settings | self.target.settings
        values = {"labels": self.target.labels, **dict(settings.of(self.method).values)}
        values |= {
            "shards": data / study.datasets[self.target.dataset].shards,
            "output": output / self.path,
            "label_fraction": self.fraction,
            "draw": self.draw,
            "seed": study.seed + self.draw,
            **self._weights(study, data, output),
        }
        values |= {} if self.target.fraction_of == "patients" else {"fraction_of": self.target.fraction_of}
        unknown = sorted(values.keys() - {field.name for field in dataclasses.fields(kind)})
        if unknown:
            raise StudyError(f"{study.path}: {self.path} needs {', '.join(unknown)}: no option of this release")
        return kind(**values)

    def _weights(self, study: Study, data: Path, output: Path) -> dict[str, object]:
        """The options that name the weights of its arm and their preprocessing."""
        run, arm = str(output / self.run.path), self.arm
        if arm.at is not None:
            named = {} if arm.preprocessing == RUN else {"preprocessing": arm.preprocessing}
            return {"backbone_from": run, "at": arm.at, **named}
        found: dict[str, object] = {"backbone_from": arm.backbone_from, "seen_patients": arm.seen_patients}
        if arm.weights is not None:
            found["weights"] = Path(arm.weights)
        if arm.preprocessing == OWN:
            return found
        pretraining = self.run.options(study, data=data, output=output)
        if not is_timm(str(arm.backbone_from)):
            found["backbone"] = pretraining.backbone
        size = {} if arm.preprocessing == RUN else {"image_size": pretraining.image_size}
        return {**found, **size, "preprocessing": run if arm.preprocessing == RUN else arm.preprocessing}


@dataclass(frozen=True)
class Comparison:
    """Cells that are compared: those of each arm, over all draws and seeds, the rest alike."""

    pretraining: str
    method: str
    variant: str
    target: Target
    fraction: float
    arms: dict[str, tuple[Cell, ...]]

    @property
    def name(self) -> str:
        """Name of its result, without .json."""
        return f"{self.pretraining}-{self.method}-{self.variant}-{self.target.name}-{fraction_text(self.fraction)}"


def runs_of(study: Study) -> tuple[RunPlan, ...]:
    """All pretraining runs, in the order of the file."""
    return tuple(RunPlan(pretraining, seed) for pretraining in study.pretraining for seed in pretraining.seeds)


def varies_by_seed(study: Study, run: RunPlan, arm: Arm) -> bool:
    """Whether an arm has other weights for each pretraining seed: not those from elsewhere, nor a start from a file.

    Cells of the others are made for the first seed alone.
    """
    return arm.at == "end" or (arm.at == "start" and run.options(study, data=Path(), output=Path()).init == "random")


def cells_of(study: Study) -> tuple[Cell, ...]:
    """All cells: run, arm, method, variant, target, fraction, draw in the order of the file, the last the fastest.

    Raises StudyError where two cells would have one directory, and for more than MOST_CELLS.
    """
    cells = tuple(itertools.islice(_cells(study), MOST_CELLS + 1))
    if len(cells) > MOST_CELLS:
        raise StudyError(f"{study.path}: it has more than {MOST_CELLS:,} cells: leave out arms, variants or draws")
    by_path: dict[str, Cell] = {}
    for cell in cells:
        if by_path.setdefault(cell.path, cell) != cell:
            raise StudyError(f"{study.path}: two cells would be {cell.path}: rename an arm, variant or target")
    return cells


def comparisons_of(study: Study) -> tuple[Comparison, ...]:
    """All comparisons of arms with the reference, in the order of their first cells."""
    groups: dict[str, Comparison] = {}
    for cell in cells_of(study):
        key = (cell.run.pretraining.name, cell.method, cell.variant.name, cell.target, cell.fraction)
        group = Comparison(*key, arms={})
        group = groups.setdefault(group.name, group)
        group.arms[cell.arm.name] = (*group.arms.get(cell.arm.name, ()), cell)
    return tuple(group for group in groups.values() if len(group.arms) > 1)


@dataclass(frozen=True)
class Selection:
    """What is trained. runs: selected themselves, or needed by a selected cell."""

    runs: tuple[RunPlan, ...]
    cells: tuple[Cell, ...]


def select_cells(study: Study, pattern: str | None) -> Selection:
    """Select by --only. Raises StudyError where nothing fits."""
    cells = tuple(cell for cell in cells_of(study) if selected(pattern, cell.path))
    needed = {cell.run.path for cell in cells}
    runs = tuple(run for run in runs_of(study) if run.path in needed or selected(pattern, run.path))
    if not runs and not cells:
        raise StudyError(f"{study.path}: no run and no cell fits --only {pattern!r}; --list names all of them")
    return Selection(runs, cells)


def listed_paths(selection: Selection, output: Path) -> Sequence[str]:
    """Name the directory of each run and cell."""
    return [
        str(output / path) for path in [*(run.path for run in selection.runs), *(cell.path for cell in selection.cells)]
    ]


def selected(pattern: str | None, path: str) -> bool:
    """Whether --only takes a path such as cells/NAME: the pattern fits the whole path or its last part."""
    return pattern is None or fnmatchcase(path, pattern) or fnmatchcase(path.rpartition("/")[2], pattern)


def _cells(study: Study) -> Iterator[Cell]:
    for run in runs_of(study):
        arms = [arm for arm in study.arms if arm.pretraining is None or run.pretraining.name in arm.pretraining]
        for arm in arms:
            if run.seed != run.pretraining.seeds[0] and not varies_by_seed(study, run, arm):
                continue
            for method in study.methods:
                for variant in (study.variants[name] for name in study.run):
                    yield from _of_targets(study, run, arm, method, variant)


def _of_targets(study: Study, run: RunPlan, arm: Arm, method: str, variant: Variant) -> Iterator[Cell]:
    for target in study.targets:
        if target.pretraining is not None and run.pretraining.name not in target.pretraining:
            continue
        of = variant.methods if target.methods is None else target.methods
        if of is not None and method not in of:
            continue
        for fraction in target.fractions:
            for draw in range(target.draws[fraction]):
                yield Cell(run, arm, method, variant, target, fraction, draw)
