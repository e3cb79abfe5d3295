"""Name what a sweep would train: the runs and cells of a study file that a pattern selects."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import shipped_recipes
from training.errors import StudyError
from training.studies.cells import Cell, RunPlan, cells_of, runs_of, selected
from training.studies.study_file import Study


@dataclass(frozen=True)
class Selection:
    """What is trained. runs: selected themselves, or needed by a selected cell."""

    runs: tuple[RunPlan, ...]
    cells: tuple[Cell, ...]


def study_path(path: Path) -> Path:
    """The study file at a path, or the shipped one of that name."""
    shipped = shipped_recipes()
    name = str(path).removesuffix(".yaml").removeprefix("recipes/")
    return path if path.is_file() or name not in shipped else shipped[name]


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
