"""Load typed uint8 batches on the training device, for pretraining (two views) and evaluation (one fixed view).

Order and random draws are pure functions of (seed, epoch, sample), so that a loader's whole state is a few numbers.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from shards.errors import ResumeError, SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import planned
from shards.loading.augmentation import ViewRange, draw_numbers
from shards.loading.dali_runner import GraphOptions, LoadedViews, Places, RunningGraphs, needed_shrinking
from shards.loading.epoch_order import epoch_windows
from shards.loading.placement import ON_CPU, WHOLE, Partition, Placement
from shards.loading.random_draws import streams
from shards.loading.sample_reader import SampleReader

_ANTIALIASED = "antialiased_for"
"""Key of a state of views with scales of their own: each view is resized for itself. Missing in earlier releases."""

STATE_FORMAT = 2
"""Changes with the meaning of a state, or with the order or the views that it stands for."""


@dataclass(frozen=True)
class TwoViewBatch:
    """MoCo's two views. query, key: uint8 [N, 1, H, W] on the loader's device; sample_id: int64 [N], CPU.

    query_tones, key_tones: the tone curves of the views, float32 [N, 256], CPU: the gray level, 0..255, that each pixel
    value stands for. Pixels come as stored: whatever uses a view looks them up. None where views have no tone curve.
    """

    query: Tensor
    key: Tensor
    sample_id: Tensor
    query_tones: Tensor | None = None
    key_tones: Tensor | None = None


@dataclass(frozen=True)
class OneViewBatch:
    """One view, augmented or fixed. image: uint8 [N, 1, H, W] on the loader's device; sample_id: int64 [N], CPU.

    tones: its tone curves, as those of TwoViewBatch; None where views have none, and for a fixed view.
    """

    image: Tensor
    sample_id: Tensor
    tones: Tensor | None = None


class _TrainingLoader:
    """Augmented views of some rows of one or more datasets, epoch after epoch, without end.

    Each epoch visits len(self) x batch_size samples, each once; the remainder is dropped, another one each epoch.
    Each rank gets every world_size-th sample of a global batch. Quarantined samples are stepped over where they
    stand in the order. State: the epoch, and what of its order was handed out.
    """

    def __init__(
        self,
        subsets: Sequence[tuple[Dataset, pd.DataFrame]],
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        view_ranges: tuple[ViewRange, ...],
        placement: Placement,
        partition: Partition,
        verify_checksums: bool,
    ) -> None:
        world_size = partition.world_size
        self._usable = np.concatenate([~rows["key"].isin(d.quarantine).to_numpy(bool) for d, rows in subsets])
        self.samples, self.quarantined = int(self._usable.sum()), int((~self._usable).sum())
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        if batch_size < 1 or batch_size % world_size:
            raise SubsetError(f"batch size {batch_size} does not divide by the {world_size} processes of the run")
        if self.samples < batch_size:
            names = ", ".join(dataset.name for dataset, _ in subsets)
            raise SubsetError(
                f"{names}: {self.samples} samples to train on, fewer than a batch of {batch_size}: lower the batch size"
            )
        self._reader = SampleReader(subsets, verify_checksums=verify_checksums)
        self._partition, self._view_ranges = partition, view_ranges
        self._identity = {
            "format": STATE_FORMAT,
            "seed": seed,
            "batch_size": batch_size,
            "image_size": image_size,
            "views": [view.identity() for view in view_ranges],
            "digests": {dataset.name: dataset.digest for dataset, _ in subsets},
            "samples": hashlib.sha256(self._reader.sample_ids.tobytes()).hexdigest(),
        }
        self._own_scales = any(view.has_own_scale for view in view_ranges)
        self._shrinkings = {
            each_view: needed_shrinking(subsets, image_size, view_ranges, each_view=each_view)
            for each_view in (False, True)
        }
        self._shrinks_each_view = True
        self._graph_options = GraphOptions(image_size, batch_size // world_size, self._shrinkings[True], placement)
        self._batch = 0  # batches of the epoch that were handed out
        self._passed = 0  # samples of the epoch's order that were handed out or stepped over with them
        self._graph: RunningGraphs | None = None

    def __len__(self) -> int:
        return self.samples // self.batch_size

    @property
    def samples_consumed(self) -> int:
        """Samples of the current epoch that were handed out, over all ranks."""
        return self._batch * self.batch_size

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the loader: plain numbers and text, under a kilobyte.

        samples: SHA-256 of the ids that the order is one of. passed: samples of the epoch's order that are behind.
        """
        return {
            **self._identity,
            **({_ANTIALIASED: "each view"} if self._own_scales and self._shrinks_each_view else {}),
            "epoch": self.epoch,
            "samples_consumed": self.samples_consumed,
            "passed": self._passed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume where `state` was taken: the same ids and pixels, at another world size too.

        What was quarantined since is left out of what is to come. A state of an earlier release, in which an image was
        resized once for all of its views, is continued in that way. Raises ResumeError where the state is of another
        format, seed, batch or image size, of other views, or of other samples.
        """
        for key, own in self._identity.items():
            if (saved := state.get(key)) != own:
                raise ResumeError(
                    f"the loader's saved {key} is {saved!r}, here it is {own!r}: start a new run, "
                    f"or give the {key} that the run started with"
                )
        self.epoch, self._passed = int(state["epoch"]), int(state["passed"])
        self._batch = int(state["samples_consumed"]) // self.batch_size
        self._shrinks_each_view = not self._own_scales or _ANTIALIASED in state
        shrinking = self._shrinkings[self._shrinks_each_view]
        self._graph_options = dataclasses.replace(self._graph_options, shrinking=shrinking)
        self._graph = None  # what it had decoded ahead belongs to another place

    def close(self) -> None:
        """Free the graph and close the tars. The loader opens them again when it is used."""
        self._graph = None
        self._reader.close()

    def _rest_of_epoch(self) -> Iterator[LoadedViews]:
        """Yield each batch that is left of the epoch; at its end the next epoch starts."""
        if self._graph is None:
            self._graph = RunningGraphs(self._reader, self._places(), self._view_ranges, self._graph_options)
        for passed in self._plan(self.epoch, self._passed).passed:
            try:
                loaded = self._graph.run()
            except BaseException:
                self._graph = None  # what it had read ahead would be left out
                raise
            self._batch, self._passed = self._batch + 1, int(passed)
            yield loaded
        self.epoch, self._batch, self._passed = self.epoch + 1, 0, 0

    def _plan(self, epoch: int, passed: int) -> "_Plan":
        """Plan the whole batches that are left of an epoch of whose order `passed` samples are behind."""
        windows = epoch_windows(len(self._usable), self.seed, epoch)
        order = np.concatenate(windows)
        spots = np.flatnonzero(self._usable[order])
        spots = spots[np.searchsorted(spots, passed) :]
        batches = spots[: len(spots) // self.batch_size * self.batch_size].reshape(-1, self.batch_size)
        ends = np.cumsum([len(window) for window in windows])
        return _Plan(order[batches], batches[:, -1] + 1, np.searchsorted(ends, batches[:, -1], side="right"))

    def _places(self) -> Iterator[Places]:
        """This rank's part of each global batch from the current place on, without end."""
        epoch, passed = self.epoch, self._passed
        while True:
            plan = self._plan(epoch, passed)
            own = plan.batches[:, self._partition.rank :: self._partition.world_size]
            stream = streams(self.seed, epoch, draw_numbers(self._view_ranges))
            asked = int(plan.window[0]) if len(own) else 0
            for places, window in zip(own, plan.window, strict=True):
                while asked <= window + 1:  # the next window is fetched while this one is used
                    self._reader.read_ahead(own[plan.window == asked].ravel())
                    asked += 1
                yield Places(places, stream)
            epoch, passed = epoch + 1, 0


@dataclass(frozen=True)
class _Plan:
    """Batches that are to come. batches: places, int64 [M, global batch]. passed: samples of the epoch's order that are
    behind after each, int64 [M]. window: of the order that each ends in, int64 [M]."""

    batches: npt.NDArray[np.int64]
    passed: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]


class TwoViewLoader(_TrainingLoader):
    """Load the train split (or another) of one or more datasets as batches of MoCo's two views.

    Iterating yields the rest of the current epoch as `TwoViewBatch`; iterating again the next one. image_size: side of
    a view in pixels. batch_size: global. views: None takes the paper's. verify_checksums: check the crc32c of each
    JPEG before it is decoded; a flipped bit in one decodes without an error. `state_dict` and `load_state_dict` resume
    an epoch anywhere. Raises SubsetError for fewer samples than a batch, or a batch that does not divide by the ranks.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        placement: Placement = ON_CPU,
        partition: Partition = WHOLE,
        views: ViewRange | None = None,
        split: str = "train",
        verify_checksums: bool = True,
    ) -> None:
        super().__init__(
            # By name: --shards A --shards B and the other way round are the same run.
            [(dataset, planned(dataset, split)) for dataset in sorted(datasets, key=lambda dataset: dataset.name)],
            image_size=image_size,
            batch_size=batch_size,
            seed=seed,
            view_ranges=(views or ViewRange(),) * 2,
            placement=placement,
            partition=partition,
            verify_checksums=verify_checksums,
        )

    def __iter__(self) -> Iterator[TwoViewBatch]:
        for loaded in self._rest_of_epoch():
            (query, key), (query_tones, key_tones) = loaded.views, loaded.tones
            yield TwoViewBatch(query, key, loaded.ids, query_tones, key_tones)


class OneViewLoader(_TrainingLoader):
    """Load some rows of a dataset as batches of one augmented view, as supervised training takes them.

    rows: of `dataset.samples`, as the functions of `shards.format.subsets` give them. Otherwise as TwoViewLoader.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: pd.DataFrame,
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        placement: Placement = ON_CPU,
        views: ViewRange | None = None,
    ) -> None:
        super().__init__(
            [(dataset, rows)],
            image_size=image_size,
            batch_size=batch_size,
            seed=seed,
            view_ranges=(views or ViewRange(),),
            placement=placement,
            partition=WHOLE,
            verify_checksums=True,
        )

    def __iter__(self) -> Iterator[OneViewBatch]:
        for loaded in self._rest_of_epoch():
            yield OneViewBatch(loaded.views[0], loaded.ids, loaded.tones[0])


class EvaluationLoader:
    """Load rows of a dataset as batches of the fixed view: every row once, in the rows' order, the last batch partial.

    Each iteration starts with the first row, and yields `OneViewBatch`. rows: of `dataset.samples`, as the functions of
    `shards.format.subsets` give them; of several ranks, each has every world_size-th of them. image_size: in pixels.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: pd.DataFrame,
        *,
        image_size: int,
        batch_size: int,
        placement: Placement = ON_CPU,
        partition: Partition = WHOLE,
    ) -> None:
        rows = rows.iloc[partition.rank :: partition.world_size]
        self._reader = SampleReader([(dataset, rows)])
        shrinking = needed_shrinking([(dataset, rows)], image_size, (None,), each_view=False)
        self._graph_options = GraphOptions(image_size, batch_size, shrinking, placement)

    def __len__(self) -> int:
        return -(-len(self._reader) // self._graph_options.batch_size)

    def __iter__(self) -> Iterator[OneViewBatch]:
        if not len(self._reader):
            return
        graph = RunningGraphs(self._reader, self._places(), (None,), self._graph_options)
        for _ in range(len(self)):
            loaded = graph.run()
            yield OneViewBatch(loaded.views[0], loaded.ids)
        self._reader.close()

    def _places(self) -> Iterator[Places]:
        every = np.arange(len(self._reader))
        stream = np.zeros(0, dtype=np.uint32)
        for start in range(0, len(every), self._graph_options.batch_size):
            yield Places(every[start : start + self._graph_options.batch_size], stream)
