"""Finish the synthetic datasets of the benchmarks: no source, shards that are written already."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from shards.format.dataset import Dataset, open_dataset, write_dataset
from shards.format.description import DatasetFacts, ShardSummary


def finished(
    root: Path,
    shards: Sequence[ShardSummary],
    samples: pa.Table,
    name: str = "synthetic",
    label_names: tuple[str, ...] = (),
) -> Dataset:
    """Write dataset.json and samples.parquet beside the shards in `root`, and open the dataset.

    Its mean and standard deviation are those of all gray levels, each once.
    """
    write_dataset(
        root,
        DatasetFacts(
            name=name,
            variant="synthetic",
            licence="none",
            label_names=label_names,
            seed=0,
            options={},
            versions={},
        ),
        histogram=np.ones(256, dtype=np.int64),
        shards=list(shards),
        samples=samples,
    )
    return open_dataset(root)
