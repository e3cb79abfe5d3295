"""What a network is asked to learn: 0, 1 or nothing for each sample and label.

Rows of samples.parquet flow in, as the source labelled them; targets flow out. What to do with uncertain and missing
labels is decided here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.errors import SubsetError
from shards.format.dataset import Dataset

UNCERTAIN = ("ignore", "zeros", "ones")
MISSING = ("ignore", "zeros")

Targets = npt.NDArray[np.float32]
"""float32 [N, L]: 1 positive, 0 negative, NaN not to be learned from or judged by."""


@dataclass(frozen=True)
class LabelPolicy:
    """How training reads labels that are no plain yes or no (Irvin et al. 2019, section 3.1).

    uncertain (-1): ignore, zeros (U-Zeros) or ones (U-Ones). missing (not mentioned): ignore, or zeros.
    """

    uncertain: Literal["ignore", "zeros", "ones"] = "ignore"
    missing: Literal["ignore", "zeros"] = "ignore"


PLAIN = LabelPolicy()
"""Only what the source calls positive or negative: how valid and test splits are read."""


def parse_labels(text: str, dataset: Dataset) -> tuple[str, ...]:
    """Names from `--labels NAME[,NAME...]`. Raises SubsetError for one that the dataset does not have, or twice."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in dataset.label_names]
    if unknown or not names:
        raise SubsetError(
            f"{dataset.name} has no label {', '.join(map(repr, unknown)) or repr(text)}; it has: "
            f"{', '.join(dataset.label_names)}"
        )
    if len(set(names)) != len(names):
        raise SubsetError(f"--labels {text!r} names a label twice")
    return names


def targets(rows: pd.DataFrame, labels: Sequence[str], policy: LabelPolicy) -> Targets:
    """The targets of `rows`, float32 [N, L]."""
    values = rows[list(labels)].to_numpy(np.float32)
    meaning = {"ignore": np.nan, "zeros": 0.0, "ones": 1.0}
    return np.where(
        np.isnan(values), meaning[policy.missing], np.where(values == -1, meaning[policy.uncertain], values)
    ).astype(np.float32)


def refuse_one_class(found: Targets, labels: Sequence[str], where: str) -> None:
    """Raise SubsetError naming each label that `found` holds in one class only, or not at all."""
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
