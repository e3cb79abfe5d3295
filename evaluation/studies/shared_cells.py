"""Choose the cells that a comparison is made of: a whole grid of draws and pretraining seeds, the same for all arms."""

from collections.abc import Mapping, Sequence

from training.studies.cells import Cell, varies_by_seed
from training.studies.study_file import Study


def shared_cells(study: Study, arms: Mapping[str, Sequence[Cell]]) -> dict[str, tuple[Cell, ...]]:
    """The cells that each arm is judged by: draws and seeds that all have, each draw of each seed; none where none is.

    Arms whose weights do not vary by the pretraining seed have cells of the first one alone, which stand for all.
    """
    varies = {name for name, cells in arms.items() if varies_by_seed(study, cells[0].run, cells[0].arm)}
    draws = set.intersection(*({cell.draw for cell in cells} for cells in arms.values())) if arms else set()
    seeds: set[int] = set()
    by_seed: dict[int, set[int]] = {}
    for seed in {cell.run.seed for name in varies for cell in arms[name]}:
        of_arms = ({cell.draw for cell in arms[name] if cell.run.seed == seed} for name in varies)
        by_seed[seed] = draws.intersection(*of_arms)
    if by_seed:
        draws, seeds = _largest_grid(by_seed)
    return {
        name: tuple(cell for cell in cells if cell.draw in draws and (name not in varies or cell.run.seed in seeds))
        for name, cells in arms.items()
        if draws
    }


def _largest_grid(draws: Mapping[int, set[int]]) -> tuple[set[int], set[int]]:
    """Choose draws and seeds so that each seed has each draw: the most cells, of those the most seeds.

    draws: those of each seed. Without a whole grid draws would not cancel between arms of one and of several seeds.
    """
    ordered = sorted(draws, key=lambda seed: (-len(draws[seed]), seed))
    choices = [ordered[: count + 1] for count in range(len(ordered))]
    grids = [(set.intersection(*(draws[seed] for seed in seeds)), set(seeds)) for seeds in choices]
    return max(grids, key=lambda grid: (len(grid[0]) * len(grid[1]), len(grid[1])))
