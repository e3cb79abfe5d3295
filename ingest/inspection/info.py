"""Count what a finished dataset holds, from its tables. Opens no image."""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from ingest.build.duplicates import DUPLICATES, Counts, count_duplicates
from ingest.build.finalize import REJECTED
from ingest.images.suspicious import SHOWN, SUSPICIOUS
from ingest.inspection.storage_order import Mixing, mixing
from shards.format.dataset import Dataset
from shards.format.description import Options, Pixels, SplitCounts
from shards.format.schema import SPLITS

LABEL_STATES = {"positive": 1.0, "negative": 0.0, "uncertain": -1.0}

BySplit = Mapping[str, int]
"""Samples by split."""


@dataclass(frozen=True)
class Range:
    """Least and most of a size."""

    least: int
    most: int


@dataclass(frozen=True)
class Images:
    """Sizes of the stored images: sides in pixels, bytes of the JPEGs alone."""

    short_side: Range
    long_side: Range
    total_bytes: int
    mean_bytes: float


@dataclass(frozen=True)
class Rejected:
    """Rows of rejected.csv, in all and by kind, the commonest first."""

    rows: int
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class SuspiciousImages:
    """How many images suspicious.csv names, and the first of them."""

    images: int
    first: list[str]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Everything that `cxr-ingest info` shows. Counts are samples unless named otherwise, excluded ones included.

    projection, ap_pa, sex, age: value -> split -> samples. labels: label -> split -> state -> samples. exclusions:
    kind -> split -> samples. duplicates, suspicious: None where the dataset has no such file.
    """

    name: str
    variant: str
    digest: str
    licence: str
    options: Options
    splits: Mapping[str, SplitCounts]
    projection: Mapping[str, BySplit]
    ap_pa: Mapping[str, BySplit]
    sex: Mapping[str, BySplit]
    age: Mapping[str, BySplit]
    labels: Mapping[str, Mapping[str, Mapping[str, int]]]
    images: Images
    pixels: Pixels
    bytes: int
    mixing: Mapping[str, Mixing]
    excluded: int
    exclusions: Mapping[str, BySplit]
    duplicates: Counts | None
    rejected: Rejected
    suspicious: SuspiciousImages | None

    def as_json(self) -> dict[str, Any]:
        """The mapping that `--json` prints; docs/info-json.md names each key."""
        return asdict(self)


def overview(dataset: Dataset) -> Overview:
    """Count what a dataset holds."""
    rows = dataset.samples
    description = dataset.description
    return Overview(
        name=dataset.name,
        variant=dataset.variant,
        digest=dataset.digest,
        licence=description.licence,
        options={"seed": description.seed, **description.options},
        splits=description.splits,
        projection=_by_split(rows, rows["projection"]),
        ap_pa=_by_split(rows, rows["ap_pa"]),
        sex=_by_split(rows, rows["sex"]),
        age=_by_split(rows, _decades(rows["age"])),
        labels={label: _label_states(rows, label) for label in dataset.label_names},
        images=_sizes(rows),
        pixels=description.pixels,
        bytes=sum(shard.bytes for shard in dataset.shards),
        mixing={split: mixing(rows[rows["split"] == split]) for split in SPLITS},
        excluded=int(rows["excluded"].notna().sum()),
        exclusions=_exclusions(rows),
        duplicates=_duplicates(dataset),
        rejected=_rejected(dataset),
        suspicious=_suspicious(dataset),
    )


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
        states = {state: int((values == value).sum()) for state, value in LABEL_STATES.items()}
        found[split] = states | {"missing": int(values.isna().sum())}
    return found


def _sizes(rows: pd.DataFrame) -> Images:
    sides = rows[["width", "height"]]
    short, long = sides.min(axis=1), sides.max(axis=1)
    return Images(
        short_side=Range(int(short.min()), int(short.max())),
        long_side=Range(int(long.min()), int(long.max())),
        total_bytes=int(rows["bytes"].sum()),
        mean_bytes=round(float(rows["bytes"].mean()), 1),
    )


def _exclusions(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Excluded samples by the first word of their reason, and split."""
    excluded = rows[rows["excluded"].notna()]
    return _by_split(excluded, excluded["excluded"].str.partition(" ")[0]) if len(excluded) else {}


def _duplicates(dataset: Dataset) -> Counts | None:
    """Counts of duplicates.csv, None where there is none."""
    path = dataset.root / DUPLICATES
    if not path.is_file():
        return None
    found = pd.read_csv(path, dtype=str, keep_default_na=False, encoding_errors="replace")
    return count_duplicates(found, dataset.samples)


def _rejected(dataset: Dataset) -> Rejected:
    path = dataset.root / REJECTED
    if not path.is_file():
        return Rejected(0, {})
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        kinds = Counter(row["reason"].partition(":")[0] for row in csv.DictReader(file))
    return Rejected(kinds.total(), dict(kinds.most_common()))


def _suspicious(dataset: Dataset) -> SuspiciousImages | None:
    """How many images suspicious.csv names, and the first of them; None where there is no such file."""
    path = dataset.root / SUSPICIOUS
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        names = [row["path"] or row["key"] for row in csv.DictReader(file)]
    return SuspiciousImages(len(names), names[:SHOWN])
