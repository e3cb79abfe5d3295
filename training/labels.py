"""Targets of a network: 0, 1 or unknown for each sample and label, read from the labels as the source gives them.

How uncertain and missing labels are read is decided here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from training.choices import Missing, Uncertain

Targets = npt.NDArray[np.float32]
"""float32 [N, L]: 1 positive, 0 negative, NaN unknown: left out of training and of evaluation."""


@dataclass(frozen=True)
class LabelPolicy:
    """How training reads labels that are neither positive nor negative (Irvin et al. 2019, section 3.1).

    uncertain (-1): ignore, zeros (U-Zeros) or ones (U-Ones). missing (not mentioned): ignore, or zeros.
    """

    uncertain: Uncertain = "ignore"
    missing: Missing = "ignore"


PLAIN = LabelPolicy()
"""Policy for valid and test splits: only labels that the source calls positive or negative are known."""


def check_labels(names: Sequence[str], dataset: Dataset) -> None:
    """Raise SubsetError for a label that the dataset does not have, a label named twice, or no label at all."""
    unknown = [name for name in names if name not in dataset.label_names]
    if unknown or not names:
        raise SubsetError(
            f"{dataset.name} has no label {', '.join(map(repr, unknown)) or repr('')}; it has: "
            f"{', '.join(dataset.label_names)}"
        )
    if len(set(names)) != len(names):
        raise SubsetError(f"--labels {','.join(names)!r} names a label twice")


def targets(rows: pd.DataFrame, labels: Sequence[str], policy: LabelPolicy) -> Targets:
    """Read the targets of `rows` with a label policy; float32 [N, L]."""
    values = rows[list(labels)].to_numpy(np.float32)
    meaning = {"ignore": np.nan, "zeros": 0.0, "ones": 1.0}
    return np.where(
        np.isnan(values), meaning[policy.missing], np.where(values == -1, meaning[policy.uncertain], values)
    ).astype(np.float32)


def learnable(found: Targets, labels: Sequence[str]) -> tuple[str, ...]:
    """Names of the labels of which `found` holds both classes."""
    both = (found == 1).any(axis=0) & (found == 0).any(axis=0)
    return tuple(label for label, learned in zip(labels, both, strict=True) if learned)


def refuse_one_class(found: Targets, labels: Sequence[str], where: str) -> None:
    """Raise SubsetError that names each label of which `found` holds one class only, or no known target."""
    counts = {
        label: (int((column == 1).sum()), int((column == 0).sum()))
        for label, column in zip(labels, found.T, strict=True)
    }
    poor = [f"{label} ({yes} positive, {no} negative)" for label, (yes, no) in counts.items() if not yes or not no]
    if poor:
        raise SubsetError(
            f"{where}: nothing can be learned about {'; '.join(poor)}. Take a larger --label-fraction, another --draw, "
            "other --labels, or another policy for --uncertain and --missing"
        )
