"""The shard format and the loader: the only thing that ingest, training and evaluation share.

`import shards` is light; `shards.loading.loaders` and `shards.loading.dali_graph` bring torch and DALI.
"""

from shards.errors import CorruptShardError, CxrError, DatasetError, ResumeError, SubsetError
from shards.format.dataset import Dataset, ShardSummary, open_dataset, open_datasets, write_dataset
from shards.format.shard_writer import ShardWriter
from shards.format.subsets import label_fraction, select

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
