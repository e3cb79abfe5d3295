"""What the cells of one process share: opened datasets, loaded backbones and embeddings."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from shards.format.dataset import Dataset, open_dataset
from shards.loading.placement import Device
from shards.selection.row_filter import filtered
from training.backbones.backbone import Backbone
from training.downstream.embeddings import Embeddings
from training.downstream.features import cached_features
from training.downstream.options import SupervisedOptions
from training.downstream.start import Start, backbone_for, start_of

MOST_BACKBONES = 2
MOST_EMBEDDINGS = 6
"""Held in memory at once: the three splits of two (weights, dataset)."""


@dataclass
class SharedInputs:
    """State: what was opened before, the least recently used first, by what it was opened from."""

    _datasets: dict[tuple[Path, str | None], Dataset] = field(default_factory=dict)
    _backbones: OrderedDict[tuple[object, ...], Backbone] = field(default_factory=OrderedDict)
    _embeddings: OrderedDict[tuple[object, ...], Embeddings] = field(default_factory=OrderedDict)

    def begin(self, options: SupervisedOptions) -> Start:
        """Open the inputs of a cell, as `training.downstream.start.begin` does for one command."""
        dataset = self.dataset(options.shards, options.row_filter)
        key: tuple[object, ...] = (options.backbone_from, options.at, options.backbone, options.image_size)
        key += (options.preprocessing, options.allow_unfinished, options.weights, options.seen_patients)
        # Random weights and a normalisation by the dataset belong to seed and dataset; a run has its own of both.
        key += (
            ()
            if Path(options.backbone_from).is_dir() and options.preprocessing is None
            else (options.seed, dataset.digest)
        )
        if key not in self._backbones:
            self._backbones[key] = backbone_for(dataset, options)
        self._backbones.move_to_end(key)
        while len(self._backbones) > MOST_BACKBONES:
            self._backbones.popitem(last=False)
        return start_of(dataset, self._backbones[key], options)

    def dataset(self, folder: Path, row_filter: str | None = None) -> Dataset:
        """Open a dataset, once, and restrict it to the rows of a filter, once a filter."""
        if (folder, None) not in self._datasets:
            self._datasets[folder, None] = open_dataset(folder)
        if (folder, row_filter) not in self._datasets:
            self._datasets[folder, row_filter] = filtered(self._datasets[folder, None], row_filter)
        return self._datasets[folder, row_filter]

    def features(
        self, backbone: Backbone, dataset: Dataset, split: str, *, cache: Path, device: Device, threads: int
    ) -> Embeddings:
        """`training.downstream.features.cached_features`, read from the cache once."""
        weights = (backbone.digest, backbone.image_size, backbone.mean, backbone.std)
        key = (*weights, dataset.digest, dataset.row_filter, split, cache, device)
        if key not in self._embeddings:
            found = cached_features(backbone, dataset, split, cache=cache, device=device, threads=threads)
            self._embeddings[key] = found
        self._embeddings.move_to_end(key)
        while len(self._embeddings) > MOST_EMBEDDINGS:
            self._embeddings.popitem(last=False)
        return self._embeddings[key]
