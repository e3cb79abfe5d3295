"""The shard format and the loader: the only thing that ingest, training and evaluation share.

`import shards` is light; `shards.loader` and `shards.graph` bring torch and DALI.
"""

from shards.dataset import Dataset, ShardSummary, open_dataset, open_datasets, write_dataset
from shards.errors import CorruptShardError, CxrError, DatasetError, ResumeError, SubsetError
from shards.subsets import label_fraction, select
from shards.writer import ShardWriter

__all__ = [
    "CorruptShardError",
    "CxrError",
    "Dataset",
    "DatasetError",
    "ResumeError",
    "ShardSummary",
    "ShardWriter",
    "SubsetError",
    "label_fraction",
    "open_dataset",
    "open_datasets",
    "select",
    "write_dataset",
]
