"""Loaders: iterators of typed uint8 batches, for pretraining (two views) and evaluation (one fixed view).

Datasets flow in, batches on the training device flow out. Order and draws are pure functions of (seed, epoch,
sample), so that a loader's whole state is a few numbers. Knows nothing of labels or networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from shards.dataset import Dataset
from shards.draws import streams
from shards.errors import ResumeError, SubsetError
from shards.graph import Device, stream_count
from shards.order import WINDOW, epoch_order
from shards.reader import SampleReader
from shards.running_graph import GraphOptions, Places, RunningGraph, needs_shrinking
from shards.subsets import select
from shards.views import ViewRange

STATE_FORMAT = 1
"""Changes with the meaning of a state, or with the order or the views that it stands for."""

_READ_AHEAD = WINDOW // 4


@dataclass(frozen=True)
class TwoViewBatch:
    """MoCo's two views. query, key: uint8 [N, 1, H, W] on the loader's device; sample_id: int64 [N], CPU."""

    query: Tensor
    key: Tensor
    sample_id: Tensor


@dataclass(frozen=True)
class OneViewBatch:
    """One view, augmented or fixed. image: uint8 [N, 1, H, W] on the loader's device; sample_id: int64 [N], CPU."""

    image: Tensor
    sample_id: Tensor


class _TrainingLoader:
    """Augmented views of some rows of one or more datasets, epoch after epoch, without end.

    Each epoch visits len(self) x batch_size samples, each once; the remainder is dropped, another one each epoch.
    Each rank gets every world_size-th sample of a global batch. State: epoch and the batches of it that were
    handed out.
    """

    def __init__(
        self,
        subsets: Sequence[tuple[Dataset, pd.DataFrame]],
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        view_ranges: tuple[ViewRange, ...],
        device: Device,
        device_id: int | None,
        threads: int,
        rank: int,
        world_size: int,
    ) -> None:
        self.samples = sum(len(rows) for _, rows in subsets)
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        if batch_size < 1 or batch_size % world_size:
            raise SubsetError(f"batch size {batch_size} does not divide by the {world_size} processes of the run")
        if self.samples < batch_size:
            names = ", ".join(dataset.name for dataset, _ in subsets)
            raise SubsetError(
                f"{names}: {self.samples} samples to train on, fewer than a batch of {batch_size}: lower the batch size"
            )
        self._digests = {dataset.name: dataset.digest for dataset, _ in subsets}
        self._reader = SampleReader(subsets)
        self._rank, self._world_size = rank, world_size
        self._view_ranges = view_ranges
        self._graph_options = GraphOptions(
            image_size, batch_size // world_size, needs_shrinking(subsets, image_size), device, device_id, threads
        )
        self._batch = 0
        self._graph: RunningGraph | None = None

    def __len__(self) -> int:
        return self.samples // self.batch_size

    @property
    def samples_consumed(self) -> int:
        """Samples of the current epoch that were handed out, over all ranks."""
        return self._batch * self.batch_size

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: plain numbers and text, a few hundred bytes."""
        return {
            "format": STATE_FORMAT,
            "seed": self.seed,
            "epoch": self.epoch,
            "samples_consumed": self.samples_consumed,
            "digests": dict(self._digests),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken: the same ids and pixels, at another world size too.

        Raises ResumeError where format, seed or datasets differ, or the place is not between two batches.
        """
        for key, own in (("format", STATE_FORMAT), ("seed", self.seed), ("digests", self._digests)):
            if state[key] != own:
                raise ResumeError(
                    f"the loader's saved {key} is {state[key]!r}, here it is {own!r}: start a new run, "
                    f"or give the {key} that the run began with"
                )
        if state["samples_consumed"] % self.batch_size:
            raise ResumeError(
                f"{state['samples_consumed']} samples of the epoch were read, no multiple of the batch size "
                f"{self.batch_size}: give the batch size that the run began with"
            )
        self.epoch, self._batch = int(state["epoch"]), int(state["samples_consumed"]) // self.batch_size
        self._graph = None  # what it had decoded ahead belongs to another place

    def close(self) -> None:
        """Free the graph and close the tars. The loader opens them again when it is used."""
        self._graph = None
        self._reader.close()

    def _rest_of_epoch(self) -> Iterator[tuple[Tensor, ...]]:
        """The views and ids of each batch that is left of the epoch; at its end the next epoch begins."""
        if self._graph is None:
            self._graph = RunningGraph(self._reader, self._places(), self._view_ranges, self._graph_options)
        while self._batch < len(self):
            try:
                tensors = self._graph.run()
            except BaseException:
                self._graph = None  # what it had read ahead would be left out
                raise
            self._batch += 1
            yield tensors
        self.epoch, self._batch = self.epoch + 1, 0

    def _places(self) -> Iterator[Places]:
        """This rank's part of each global batch from the current place on, without end."""
        epoch, first = self.epoch, self._batch
        while True:
            order = epoch_order(self.samples, self.seed, epoch)
            stream = streams(self.seed, epoch, stream_count(self._view_ranges))
            for batch in range(first, len(self)):
                start = batch * self.batch_size
                if batch == first or start % _READ_AHEAD < self.batch_size:
                    self._reader.read_ahead(order[start : start + 2 * _READ_AHEAD])
                yield Places(order[start : start + self.batch_size][self._rank :: self._world_size], stream)
            epoch, first = epoch + 1, 0


class TwoViewLoader(_TrainingLoader):
    """The train split (or another) of one or more datasets as batches of MoCo's two views.

    Iterating yields the rest of the current epoch; iterating again the next one. batch_size is global. device_id:
    of the GPU, with device="gpu". threads: DALI's, on the CPU.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        device: Device = "cpu",
        device_id: int | None = None,
        threads: int = 2,
        rank: int = 0,
        world_size: int = 1,
        views: ViewRange | None = None,
        split: str = "train",
    ) -> None:
        super().__init__(
            # By name: --shards A --shards B and the other way round are the same run.
            [(dataset, select(dataset, split)) for dataset in sorted(datasets, key=lambda dataset: dataset.name)],
            image_size=image_size,
            batch_size=batch_size,
            seed=seed,
            view_ranges=(views or ViewRange(),) * 2,
            device=device,
            device_id=device_id,
            threads=threads,
            rank=rank,
            world_size=world_size,
        )

    def __iter__(self) -> Iterator[TwoViewBatch]:
        for query, key, sample_id in self._rest_of_epoch():
            yield TwoViewBatch(query, key, sample_id)


class OneViewLoader(_TrainingLoader):
    """Some rows of a dataset as batches of one augmented view, as supervised training takes them.

    rows: of `dataset.samples`, as the functions of `shards.subsets` give them. Otherwise as TwoViewLoader.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: pd.DataFrame,
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        device: Device = "cpu",
        device_id: int | None = None,
        threads: int = 2,
        views: ViewRange | None = None,
    ) -> None:
        super().__init__(
            [(dataset, rows)],
            image_size=image_size,
            batch_size=batch_size,
            seed=seed,
            view_ranges=(views or ViewRange(),),
            device=device,
            device_id=device_id,
            threads=threads,
            rank=0,
            world_size=1,
        )

    def __iter__(self) -> Iterator[OneViewBatch]:
        for image, sample_id in self._rest_of_epoch():
            yield OneViewBatch(image, sample_id)


class EvaluationLoader:
    """Rows of a dataset as batches of the fixed view: every row once, in the rows' order, the last batch partial.

    Iterating begins anew each time. rows: of `dataset.samples`, as the functions of `shards.subsets` give them.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: pd.DataFrame,
        *,
        image_size: int,
        batch_size: int,
        device: Device = "cpu",
        device_id: int | None = None,
        threads: int = 2,
    ) -> None:
        self._reader = SampleReader([(dataset, rows)])
        self._graph_options = GraphOptions(
            image_size, batch_size, needs_shrinking([(dataset, rows)], image_size), device, device_id, threads
        )

    def __len__(self) -> int:
        return -(-len(self._reader) // self._graph_options.batch_size)

    def __iter__(self) -> Iterator[OneViewBatch]:
        if not len(self._reader):
            return
        graph = RunningGraph(self._reader, self._places(), (None,), self._graph_options)
        for _ in range(len(self)):
            image, sample_id = graph.run()
            yield OneViewBatch(image, sample_id)
        self._reader.close()

    def _places(self) -> Iterator[Places]:
        every = np.arange(len(self._reader))
        stream = np.zeros(stream_count((None,)), dtype=np.uint32)
        for start in range(0, len(every), self._graph_options.batch_size):
            yield Places(every[start : start + self._graph_options.batch_size], stream)
