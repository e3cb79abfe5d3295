"""Count what a finished dataset holds, from its tables. Opens no image."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ingest.build.duplicates import DUPLICATES, Counts, count_duplicates
from ingest.build.finalize import REJECTED
from ingest.images.suspicious import SHOWN, SUSPICIOUS, tell
from ingest.inspection.storage_order import mixing
from shards.format.dataset import Dataset
from shards.format.schema import SPLITS

_LABEL_STATES = {"positive": 1.0, "negative": 0.0, "uncertain": -1.0}
_MIXING = {
    "score": "mixing score (1: shuffled, 0: source order)",
    "correlation": "correlation with the source's order",
    "same_patient_neighbours": "neighbours of one patient",
    "expected": "  expected by chance",
}


def overview(dataset: Dataset) -> dict[str, Any]:
    """Everything that `cxr-ingest info` shows, as JSON has it; docs/info-json.md names each key.

    Counts are samples unless named otherwise, excluded ones included.
    """
    rows = dataset.samples
    description = dataset.description
    return {
        "name": dataset.name,
        "variant": dataset.variant,
        "digest": dataset.digest,
        "licence": description["licence"],
        "options": {"seed": description["seed"], **description["options"]},
        "splits": description["splits"],
        "projection": _by_split(rows, rows["projection"]),
        "ap_pa": _by_split(rows, rows["ap_pa"]),
        "sex": _by_split(rows, rows["sex"]),
        "age": _by_split(rows, _decades(rows["age"])),
        "labels": {label: _label_states(rows, label) for label in dataset.label_names},
        "images": _sizes(rows),
        "pixels": description["pixels"],
        "bytes": sum(shard.bytes for shard in dataset.shards),
        "mixing": {split: mixing(rows[rows["split"] == split]) for split in SPLITS},
        "excluded": int(rows["excluded"].notna().sum()),
        "exclusions": _exclusions(rows),
        "duplicates": _duplicates(dataset),
        "rejected": _rejected(dataset),
        "suspicious": _suspicious(dataset),
    }


def as_text(summary: Mapping[str, Any]) -> str:
    """The overview as tables."""
    size = summary["images"]
    pixels = summary["pixels"]
    mean = "none (no train split)" if pixels["mean"] is None else f"{pixels['mean']:.2f} ± {pixels['std']:.2f}"
    options = ", ".join(f"{key} {value}" for key, value in summary["options"].items() if key != "source_tables")
    lines = [
        f"{summary['name']} ({summary['variant']}), digest {summary['digest']}",
        f"Licence: {summary['licence']}",
        f"Options: {options}",
        f"Images: short side {size['short_side']['least']} to {size['short_side']['most']}, "
        f"long side {size['long_side']['least']} to {size['long_side']['most']}, "
        f"{size['mean_bytes'] / 1e3:.1f} kB each, {summary['bytes'] / 1e6:,.1f} MB in all",
        f"Pixels of train: {mean}",
        "",
    ]
    splits = [split for split in SPLITS if summary["splits"][split]["samples"]]
    table = [["", *splits]]
    table += [
        [what, *(f"{summary['splits'][s][what]:,}" for s in splits)] for what in ("samples", "patients", "shards")
    ]
    for column in ("projection", "ap_pa", "sex", "age"):
        table.append([column])
        table += [[f"  {value}", *(f"{n[s]:,}" for s in splits)] for value, n in summary[column].items()]
    lines += [*_aligned(table), ""]
    for split in splits:
        table = [[f"labels, {split}", *_LABEL_STATES, "missing"]]
        for label, states in summary["labels"].items():
            table.append([f"  {label}", *(f"{states[split][state]:,}" for state in (*_LABEL_STATES, "missing"))])
        lines += [*_aligned(table), ""]
    table = [["order", *splits]]
    for figure, words in _MIXING.items():
        values = [summary["mixing"][split][figure] for split in splits]
        table.append([f"  {words}", *("unknown" if value is None else f"{value:,}" for value in values)])
    lines += [*_aligned(table), ""]
    lines.append(f"Excluded from every subset: {summary['excluded']:,}")
    lines += [f"  {sum(counts.values()):,} {kind}" for kind, counts in summary["exclusions"].items()]
    duplicates = summary["duplicates"]
    lines.append("Duplicates: not looked for" if duplicates is None else f"Duplicates: {Counts(**duplicates)}")
    lines.append(f"Rejected: {summary['rejected']['rows']:,}")
    lines += [f"  {count:,} {kind}" for kind, count in summary["rejected"]["kinds"].items()]
    suspicious = summary["suspicious"]
    if suspicious is None:
        lines.append("Suspicious: not looked for")
    elif suspicious["images"]:
        lines.append(tell(suspicious["first"], suspicious["images"]))
    else:
        lines.append("Suspicious: 0")
    return "\n".join(lines)


def _by_split(rows: pd.DataFrame, values: pd.Series) -> dict[str, dict[str, int]]:
    counts = pd.crosstab(values.fillna("unknown"), rows["split"]).reindex(columns=list(SPLITS), fill_value=0)
    return {str(value): {split: int(n[split]) for split in SPLITS} for value, n in counts.iterrows()}


def _decades(ages: pd.Series) -> pd.Series:
    """Ages as decades, `40-49`; as text they sort in order up to 99."""
    start = (ages // 10 * 10).astype("Int64")
    text = start.astype("string").str.zfill(2) + "-" + (start + 9).astype("string").str.zfill(2)
    return text.where(start < 100, "100 and over").where(ages.notna(), None).astype(object)


def _label_states(rows: pd.DataFrame, label: str) -> dict[str, dict[str, int]]:
    found = {}
    for split in SPLITS:
        values = rows.loc[rows["split"] == split, label]
        states = {state: int((values == value).sum()) for state, value in _LABEL_STATES.items()}
        found[split] = states | {"missing": int(values.isna().sum())}
    return found


def _sizes(rows: pd.DataFrame) -> dict[str, Any]:
    sides = rows[["width", "height"]]
    return {
        "short_side": {"least": int(sides.min(axis=1).min()), "most": int(sides.min(axis=1).max())},
        "long_side": {"least": int(sides.max(axis=1).min()), "most": int(sides.max(axis=1).max())},
        "total_bytes": int(rows["bytes"].sum()),
        "mean_bytes": round(float(rows["bytes"].mean()), 1),
    }


def _exclusions(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Excluded samples by the first word of their reason, and split."""
    excluded = rows[rows["excluded"].notna()]
    return _by_split(excluded, excluded["excluded"].str.partition(" ")[0]) if len(excluded) else {}


def _duplicates(dataset: Dataset) -> dict[str, int] | None:
    """Counts of duplicates.csv, None where there is none."""
    path = dataset.root / DUPLICATES
    if not path.is_file():
        return None
    found = pd.read_csv(path, dtype=str, keep_default_na=False, encoding_errors="replace")
    return count_duplicates(found, dataset.samples).as_json()


def _rejected(dataset: Dataset) -> dict[str, Any]:
    path = dataset.root / REJECTED
    if not path.is_file():
        return {"rows": 0, "kinds": {}}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        kinds = Counter(row["reason"].partition(":")[0] for row in csv.DictReader(file))
    return {"rows": kinds.total(), "kinds": dict(kinds.most_common())}


def _suspicious(dataset: Dataset) -> dict[str, Any] | None:
    """How many images suspicious.csv names, and the first of them; None where there is no such file."""
    path = dataset.root / SUSPICIOUS
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        names = [row["path"] or row["key"] for row in csv.DictReader(file)]
    return {"images": len(names), "first": names[:SHOWN]}


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, numbers to the right."""
    columns = max(len(row) for row in table)
    full = [[*row, *[""] * (columns - len(row))] for row in table]
    widths = [max(len(row[i]) for row in full) for i in range(columns)]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in full
    ]
