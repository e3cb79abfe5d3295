"""Read from sidecars which draw and pretraining seed a file of predictions is of."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.tables.sidecar import Sidecar, stated
from evaluation.tables.table import Table, TableError
from shards.json_value import JsonValue


@dataclass(frozen=True, order=True)
class Draw:
    """Which random training subset, and which pretraining, a file is of. pretraining_seed: None where unknown."""

    number: int
    pretraining_seed: int | None


@dataclass(frozen=True)
class ArmTables:
    """The predictions of one arm, one table a draw."""

    name: str
    tables: tuple[Table, ...]


def draws_of(arm: ArmTables) -> tuple[Draw, ...]:
    """Each table's draw: as the sidecars say, or numbered in the order given where any of them does not say it.

    Raises TableError where a file, or a draw of one pretraining seed, is given twice: it would count as evidence twice.
    """
    _refuse_same_file(arm)
    numbers = [_integer(stated(table.sidecar, "draw")) for table in arm.tables]
    seeds = [_pretraining_seed(table.sidecar) for table in arm.tables]
    if any(number is None for number in numbers):
        return tuple(Draw(number, seed) for number, seed in enumerate(seeds))
    draws = [Draw(number, seed) for number, seed in zip(numbers, seeds, strict=True) if number is not None]
    first: dict[Draw, Path] = {}
    for draw, table in zip(draws, arm.tables, strict=True):
        if draw in first:
            seed = (
                "no known pretraining seed"
                if draw.pretraining_seed is None
                else f"pretraining seed {draw.pretraining_seed}"
            )
            raise TableError(
                f"arm {arm.name}: {first[draw]} and {table.path} are both of draw {draw.number} and {seed}: give each "
                "once, or make another arm of the second"
            )
        first[draw] = table.path
    return tuple(draws)


def _pretraining_seed(sidecar: Sidecar | None) -> int | None:
    """The seed of the pretraining, or of the random initial weights where there was none."""
    recorded = _integer(stated(sidecar, "pretraining_seed"))
    if recorded is not None:
        return recorded
    seed = _integer(stated(sidecar, "provenance", "seed"))
    if seed is not None:
        return seed
    initial = stated(sidecar, "initial")
    return _integer(stated(sidecar, "seed")) if initial is not None and initial.value == "random" else None


def _integer(found: JsonValue | None) -> int | None:
    value = None if found is None else found.value
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _refuse_same_file(arm: ArmTables) -> None:
    """Refuse files of the same bytes, unless their sidecars say that they are of different draws or pretraining seeds.

    Runs of several seeds that began from the same ImageNet weights have the same start, and so the same predictions.
    """
    first: dict[tuple[str, int | None, int | None], Path] = {}
    for table in arm.tables:
        if table.sha256 is None:  # a Zarr group holds several models
            continue
        of = (_integer(stated(table.sidecar, "draw")), _pretraining_seed(table.sidecar))
        before = first.setdefault((table.sha256, *of), table.path)
        if before is not table.path:
            raise TableError(f"arm {arm.name}: {before} and {table.path} hold the same bytes: give each draw once")
    groups = [table.path.resolve() for table in arm.tables if table.sha256 is None]
    runs = [path for place, path in enumerate(groups) if place == 0 or groups[place - 1] != path]
    repeated = [path for path in runs if runs.count(path) > 1]
    if repeated:
        raise TableError(f"arm {arm.name}: {repeated[0]} is given twice")
