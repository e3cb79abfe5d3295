"""The shard format and the loaders: the only package that ingest, training and evaluation share.

`import shards` loads neither torch nor DALI, which the loaders bring, nor pandas, when one of them is first used.
"""

from typing import TYPE_CHECKING

from shards.errors import CorruptShardError, CxrError, DatasetError, ResumeError, SubsetError
from shards.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from shards.format.dataset import Dataset, open_dataset, open_datasets
    from shards.format.description import ShardSummary
    from shards.format.subsets import label_fraction, select
    from shards.loading.augmentation import ViewRange
    from shards.loading.loaders import EvaluationLoader, OneViewBatch, OneViewLoader, TwoViewBatch, TwoViewLoader
    from shards.loading.placement import Partition, Placement
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "shards.format.dataset": ("Dataset", "open_dataset", "open_datasets"),
            "shards.format.description": ("ShardSummary",),
            "shards.format.subsets": ("label_fraction", "select"),
            "shards.loading.augmentation": ("ViewRange",),
            "shards.loading.loaders": (
                *("EvaluationLoader", "OneViewBatch", "OneViewLoader", "TwoViewBatch", "TwoViewLoader"),
            ),
            "shards.loading.placement": ("Partition", "Placement"),
        },
    )

__all__ = [
    "CorruptShardError",
    "CxrError",
    "Dataset",
    "DatasetError",
    "EvaluationLoader",
    "OneViewBatch",
    "OneViewLoader",
    "Partition",
    "Placement",
    "ResumeError",
    "ShardSummary",
    "SubsetError",
    "TwoViewBatch",
    "TwoViewLoader",
    "ViewRange",
    "label_fraction",
    "open_dataset",
    "open_datasets",
    "select",
]
