"""Find out in what arms differ beside their weights, and refuse what makes no comparison unless it is allowed.

A gain is the effect of pretraining only where nothing else differs. What a sidecar does not say is not compared.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evaluation.tables.provenance import ArmTables
from evaluation.tables.sidecar import Sidecar, stated
from evaluation.tables.table import Table, TableError
from evaluation.tables.truth import TruthOrigin

_KEYS: dict[str, tuple[str, ...]] = {
    "architecture": ("architecture",),
    "image_size": ("image_size",),
    "preprocessing": ("mean", "std"),
    "policy": ("uncertain", "missing"),
    "fraction": ("label_fraction", "fraction_of"),
    "split": ("split",),
    "aggregate": ("aggregate",),
    "row_filter": ("row_filter",),
    "method": ("method",),
}
"""Name of a difference -> keys of the sidecars, or of the models below them, that it goes by."""

_ABSENT = {"fraction_of": "patients"}
"""What a sidecar meant that has no such key."""

ROW_FILTER, DRAWS, DATASET, INITIAL, RECALIBRATION = "row_filter", "draws", "dataset", "initial", "recalibration"
DIFFERENCES = (*_KEYS, RECALIBRATION, DRAWS, DATASET, INITIAL)
"""What --allow-different may name. row_filter: of the images that are judged, and of those that the model was trained
on. recalibration: whether, how and on which split probabilities were recalibrated; temperatures differ between models.
initial: the weights that pretraining began from; it is named, never refused."""

ALL_ROWS = "all rows"
"""What a sidecar without row_filter means."""

_SHOWN = 3


@dataclass(frozen=True)
class Agreement:
    """In what the arms differ. different: names of DIFFERENCES. allowed: those of them that were allowed."""

    different: tuple[str, ...]
    allowed: tuple[str, ...]
    remarks: tuple[str, ...]


def agreement(arms: Sequence[ArmTables], truth: TruthOrigin, allowed: Collection[str] = ()) -> Agreement:
    """Compare the arms' sidecars with each other and with the truth.

    truth: where it is of a dataset of shards, its digest is compared with the one that each file was predicted on.
    Raises TableError for files of one arm that differ in more than draw and seeds, and for
    arms that differ in anything else than `initial` that is not allowed.
    """
    for arm in arms:
        _refuse_mixed(arm)
    found = {name: told for name in DIFFERENCES if (told := _difference(name, arms, truth))}
    refused = {name: told for name, told in found.items() if name != INITIAL and name not in allowed}
    if refused:
        raise TableError(
            f"the arms differ in more than their weights: {'; '.join(refused.values())}. Such a difference is no gain "
            "of pretraining. Predict them alike, or declare what differs by --allow-different "
            f"{','.join(refused)}, which the result repeats"
        )
    was_allowed = tuple(name for name in found if name in allowed)
    return Agreement(tuple(found), was_allowed, tuple(_remarks(arms, found, allowed)))


def _difference(name: str, arms: Sequence[ArmTables], truth: TruthOrigin) -> str | None:
    """What differs, in words, or None."""
    by_arm = {arm.name: _values(name, arm.tables) for arm in arms}
    if name == DRAWS:
        by_arm = {arm.name: _draws(arm) for arm in arms}
    known = {arm: values for arm, values in by_arm.items() if values}
    if name == DATASET and (mismatch := _other_truth(arms, truth)):
        return mismatch
    first = next(iter(known.values()), None)
    if all(values == first for values in known.values()):
        return None
    told = (f"{arm} has {', '.join(sorted(values))}" for arm, values in known.items())
    return f"{name} ({'; '.join(told)})"


def _values(name: str, tables: Sequence[Table]) -> set[str]:
    """The values of a difference in these tables, in words; none for tables that do not say."""
    found = set()
    for table in tables:
        parts = list(_parts(name, table))
        if any(part is not None for part in parts):
            found.add(" and ".join("unknown" if part is None else part for part in parts))
    return found


def _parts(name: str, table: Table) -> Iterator[str | None]:
    if name == DATASET:
        yield _predicted_on(table.sidecar)
        yield _digest(_said(table.sidecar, "model", "dataset", "digest"))
    elif name == INITIAL:
        yield _began_from(table)
    elif name == ROW_FILTER:
        yield from _row_filters(table)
    elif name == RECALIBRATION:
        yield None if table.sidecar is None else recalibration(table.sidecar)
    else:
        for key in _KEYS.get(name, ()):
            value = _said(table.sidecar, key)
            yield _ABSENT.get(key) if value is None and table.sidecar is not None else value


def recalibration(sidecar: Sidecar) -> str:
    """How probabilities were recalibrated, and on which split it was fitted; `none` where the sidecar names nothing."""
    found = sidecar.content.find("recalibrated")
    if found is None:
        return "none"
    parts = (found.find(key) for key in ("method", "split"))
    return " on ".join("unknown" if part is None else str(part.value) for part in parts)


def _row_filters(table: Table) -> Iterator[str | None]:
    """The images that were predicted, and those that the model was trained on where rows were selected for it."""
    if table.sidecar is None:
        yield None
        return
    predicted, trained = (table.sidecar.content.find(*path, "row_filter") for path in ((), ("model",)))
    yield ALL_ROWS if predicted is None else str(predicted.value)
    if trained is not None:
        yield f"trained on {trained.value}"


def _said(sidecar: Sidecar | None, key: str, *below: str) -> str | None:
    """What a sidecar states, as text."""
    found = stated(sidecar, key, *below)
    return None if found is None else str(found.value)


def _began_from(table: Table) -> str | None:
    """The weights before any pretraining (random, imagenet, a file's name), or the model's where there was none."""
    return _said(table.sidecar, "provenance", "init") or _said(table.sidecar, "initial")


def _draws(arm: ArmTables) -> set[str]:
    """The arm's draws as one value, so that sets are compared; none where a file does not say."""
    numbers = [_said(table.sidecar, "draw") for table in arm.tables]
    known = {int(number) for number in numbers if number is not None}
    return set() if None in numbers else {", ".join(str(number) for number in sorted(known))}


def _other_truth(arms: Sequence[ArmTables], truth: TruthOrigin) -> str | None:
    """Whether a file was predicted on another build of the dataset than the truth is of."""
    digest = _digest(truth.digest)
    if digest is None:  # a table: nothing is known of its dataset
        return None
    for table in (table for arm in arms for table in arm.tables):
        predicted = _predicted_on(table.sidecar)
        if predicted is not None and predicted != digest:
            return f"dataset ({table.path} was predicted on that of digest {predicted}, the truth is of {digest})"
    return None


def _refuse_mixed(arm: ArmTables) -> None:
    """Files that differ in more than draw and seeds are no draws of one arm: their mean would mean nothing."""
    for name in DIFFERENCES:
        if name == DRAWS:
            continue
        first: tuple[Table, set[str]] | None = None
        for table in arm.tables:
            values = _values(name, [table])
            if not values:
                continue
            if first is not None and values != first[1]:
                raise TableError(
                    f"arm {arm.name}: {first[0].path} and {table.path} differ in {name} ({', '.join(first[1])} and "
                    f"{', '.join(values)}), and files of one arm may differ in draw and seeds only. Make another arm "
                    "of the second"
                )
            first = first or (table, values)


def _remarks(arms: Sequence[ArmTables], found: Mapping[str, str], allowed: Collection[str]) -> Iterator[str]:
    for name, told in found.items():
        how = "as was allowed (--allow-different)" if name in allowed else "so that the gain is not pretraining's alone"
        yield f"The arms differ in {told}, {how}."
    silent = [str(table.path) for arm in arms for table in arm.tables if table.sidecar is None]
    if silent and len(arms) > 1:
        shown = ", ".join(silent[:_SHOWN]) + (f" and {len(silent) - _SHOWN} more" if len(silent) > _SHOWN else "")
        yield f"No sidecar says how these were made, so that it is not known whether arms differ in it: {shown}."


def _predicted_on(sidecar: Sidecar | None) -> str | None:
    """The digest of the dataset that predictions were made on."""
    return _digest(_said(sidecar, "dataset", "digest"))


def _digest(digest: str | None) -> str | None:
    """A digest as messages show it."""
    return None if digest is None else digest[:12]
