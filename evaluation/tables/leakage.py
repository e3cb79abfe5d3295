"""Refuse predictions of patients that the weights have seen, or may have, and say what was selected on their split.

The sidecars say it, as `cxr-eval predict` records it: what leaked, what is unknown, and C or epoch with their split.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluation.tables.provenance import ArmTables
from evaluation.tables.sidecar import stated
from evaluation.tables.table import Table, TableError
from shards.json_value import JsonError


@dataclass(frozen=True)
class Allowed:
    """What is judged all the same: --allow-seen-patients, --allow-unknown-patients."""

    seen: bool = False
    unknown: bool = False


NOTHING_ALLOWED = Allowed()


@dataclass(frozen=True)
class Leaks:
    """What the result says. allowed: what of leakage was found and allowed, by the option's name.

    selected_on: arm -> what was selected (C, epoch) -> the split. remarks: sentences for the person who reads it.
    """

    allowed: tuple[str, ...] = ()
    selected_on: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def leaks(arms: Sequence[ArmTables], allowed: Allowed) -> Leaks:
    """Look into the sidecars of all arms. Raises TableError for leakage that is not allowed."""
    found: list[str] = []
    remarks: list[str] = []
    for arm in arms:
        try:
            for name, remark in _of_arm(arm, allowed):
                found += [name] if name else []
                remarks.append(remark)
        except JsonError as error:
            raise TableError(f"arm {arm.name}: in a sidecar {error}. Predict it again.") from error
    return Leaks(tuple(dict.fromkeys(found)), _selections_of(arms), tuple(remarks))


def _of_arm(arm: ArmTables, allowed: Allowed) -> Iterator[tuple[str, str]]:
    """Remarks on an arm, each with the name of the leakage that was allowed, or "". Raises TableError."""
    seen, unknown = _most_seen(arm), _unknown(arm)
    if seen and not allowed.seen:
        raise TableError(
            f"arm {arm.name}: the weights have seen {seen}: the predictions say nothing about new patients. Predict a "
            "split that was held back, or pass --allow-seen-patients, which the result repeats"
        )
    if seen:
        yield (
            "seen_patients",
            f"Arm {arm.name} was judged on up to {seen} that the weights have seen, as was allowed "
            "(--allow-seen-patients).",
        )
    if unknown and not allowed.unknown:
        raise TableError(
            f"arm {arm.name}: it is not known whether the weights have seen the patients: {unknown}. Train it again "
            "with --seen-patients none|FILE, or pass --allow-unknown-patients, which the result repeats"
        )
    if unknown:
        yield (
            "unknown_patients",
            f"It is not known whether the weights of arm {arm.name} have seen the patients that it was judged on "
            f"({unknown}), as was allowed (--allow-unknown-patients).",
        )
    for remarks in (_of_older_sidecars(arm), _declared(arm), _selected(arm)):
        for remark in remarks:
            yield "", remark


def _most_seen(arm: ArmTables) -> str:
    """The largest number of patients and of images that the weights of a file have seen, in words; "" for none."""
    patients = max(_count(table, "seen_patients") + _count(table, "run_patients") for table in arm.tables)
    images = max(_count(table, "seen_images") for table in arm.tables)
    counts = ((patients, "patients"), (images, "images under another dataset name"))
    return " and ".join(f"{count} {what}" for count, what in counts if count)


def _count(table: Table, key: str) -> int:
    found = stated(table.sidecar, key)
    return 0 if found is None else found.whole()


def _unknown(arm: ArmTables) -> str:
    return "; ".join(dict.fromkeys(reason for table in arm.tables for reason in _texts(table, "unknown_patients")))


def _texts(table: Table, key: str) -> tuple[str, ...]:
    found = stated(table.sidecar, key)
    return () if found is None else found.texts()


def _of_older_sidecars(arm: ArmTables) -> Iterator[str]:
    """What sidecars leave open: an earlier release looked at names of patients alone."""
    known = [table.sidecar.content.value for table in arm.tables if table.sidecar is not None]
    if any("seen_patients" in content and "unknown_patients" not in content for content in known):
        yield (
            f"Arm {arm.name} was predicted by an earlier release, which compared patients by name and did not look for "
            "images that the weights have seen. Predict it again to have that checked."
        )
    elif any(content.get("seen_images", 0) is None for content in known):
        yield (
            f"Arm {arm.name}: patients were compared, and images were not, since an earlier release pretrained the "
            "weights and kept no list of the images."
        )


def _declared(arm: ArmTables) -> Iterator[str]:
    said = dict.fromkeys(one for table in arm.tables for one in _texts(table, "declared_patients"))
    if said:
        yield f"What the weights of arm {arm.name} had seen was declared, not recorded: {', '.join(said)}."


def _selected(arm: ArmTables) -> Iterator[str]:
    """Say what was selected on the split that is judged: there, values are optimistic."""
    names: dict[str, None] = {}
    silent = False
    for table in arm.tables:
        split, selected = _text(table, "split"), _selections(table)
        if not _is_of_the_trained_dataset(table):
            continue
        names |= dict.fromkeys(what for what, where in selected.items() if where == split)
        silent = silent or (not selected and split == "valid" and _text(table, "method") == "finetune")
    if names:
        yield (
            f"Arm {arm.name}: {' and '.join(names)} was selected on the split that is judged here, so that its values "
            "are optimistic."
        )
    if silent:
        yield (
            f"Arm {arm.name} was predicted by an earlier release, which does not say where the epoch was selected: "
            "where the dataset has a valid split, on the one that is judged here, and its values are optimistic."
        )


def _is_of_the_trained_dataset(table: Table) -> bool:
    """Whether the predictions are of the dataset that the model was trained on."""
    trained = _text(table, "model", "dataset", "name")
    return trained is None or trained == _text(table, "dataset", "name")


def _text(table: Table, *keys: str) -> str | None:
    found = stated(table.sidecar, *keys)
    return None if found is None else found.text()


def _selections(table: Table) -> dict[str, str]:
    found = stated(table.sidecar, "selected_on")
    return {} if found is None else {what: where.text() for what, where in found.fields().items()}


def _selections_of(arms: Sequence[ArmTables]) -> dict[str, dict[str, str]]:
    found = {arm.name: {key: one for table in arm.tables for key, one in _selections(table).items()} for arm in arms}
    return {arm: selected for arm, selected in found.items() if selected}
