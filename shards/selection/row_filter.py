"""Restrict a dataset to the rows that fulfil a condition (`row_filter`), before splits, fractions and draws are taken.

Every command that trains or evaluates takes the condition alike; what it records is one text, or nothing where all rows
are used, so that older records read as they were meant.
"""

import ast
import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.schema import SPLITS
from shards.selection.condition import clauses, joined, parse, text_of
from shards.selection.rows import columns_of, fulfilled, values_there

ALL = "all"
PROJECTIONS = ("frontal", "lateral", ALL)
AP_PA = ("AP", "PA", ALL)


def row_filter(projection: str = ALL, ap_pa: str = ALL, where: str | None = None) -> str | None:
    """Make one text of the conditions on rows, the same however they were spelled; None where there are none.

    Raises SubsetError for a `where` that is no condition.
    """
    words = {"projection": projection, "ap_pa": ap_pa}
    parts = [parse(f"{column} == {word!r}") for column, word in words.items() if word != ALL]
    if where is not None:
        parts.append(parse(where))
    return text_of(joined(parts)) if parts else None


def filtered(dataset: Dataset, condition: str | None, splits: Sequence[str | None] = SPLITS) -> Dataset:
    """The dataset with the rows that fulfil `condition` only, which `shards.format.subsets` selects from.

    condition: as `row_filter` makes it; None keeps every row. splits: those of which some row must be left, if there
    were any; None: all rows together. Raises SubsetError where none is, with the number of rows that each part of the
    condition leaves, and for columns that the dataset does not have.
    """
    if condition is None:
        return dataset
    samples = dataset.samples
    try:
        parts = [_Part(part, fulfilled(part, samples)) for part in clauses(parse(condition))]
    except SubsetError as error:
        raise SubsetError(f"{dataset.root}: {error}") from error
    usable = samples["excluded"].isna().to_numpy() & ~samples["key"].isin(dataset.quarantine).to_numpy()
    for split in splits:
        of_split = usable if split is None else usable & (samples["split"] == split).to_numpy()
        if of_split.any() and not np.logical_and.reduce([of_split, *(part.mask for part in parts)]).any():
            of = "" if split is None else f" of the {split} split"
            raise SubsetError(
                f"{dataset.root}: no image{of} is left: {_told(parts, samples, of_split)}. Change --projection, "
                "--ap-pa or --where"
            )
    mask = np.logical_and.reduce([part.mask for part in parts])
    return dataclasses.replace(dataset, row_filter=condition, selected=mask)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A part of a condition. mask: whether each row fulfils it, bool [N]."""

    condition: ast.expr
    mask: npt.NDArray[np.bool_]


def _told(parts: Sequence[_Part], samples: pd.DataFrame, left: npt.NDArray[np.bool_]) -> str:
    """How many rows each part leaves, up to the one that leaves none, and what its columns hold there."""
    told = []
    for part in parts:
        before, left = left, left & part.mask
        told.append(f"{text_of(part.condition)} leaves {int(left.sum()):,} of {int(before.sum()):,}")
        if not left.any():
            there = "; ".join(values_there(samples[before], name) for name in columns_of(part.condition, samples))
            return f"{', '.join(told)} ({there})"
    raise AssertionError("some part leaves none")
