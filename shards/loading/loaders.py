"""Load typed uint8 batches on the training device, for pretraining (two views) and evaluation (one fixed view).

Order and random draws are pure functions of (seed, epoch, sample), so that a loader's whole state is a few numbers.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from shards.errors import ResumeError, SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import planned
from shards.loading.augmentation import ViewRange, draw_numbers
from shards.loading.dali_runner import GraphOptions, LoadedViews, Places, RunningGraphs, needed_shrinking
from shards.loading.epoch_order import BatchPlan, plan_batches, refuse_batch
from shards.loading.placement import ON_CPU, WHOLE, Partition, Placement
from shards.loading.positives import OWN_IMAGE, GroupIds, Partners, Positives
from shards.loading.random_draws import streams
from shards.loading.sample_reader import SampleReader

_ANTIALIASED = "antialiased_for"
"""Key of a state of views with scales of their own: each view is resized for itself. Missing in earlier releases."""

_POSITIVES = "positives"
"""Key of a state whose key views are of other images than the queries. Missing where they are not."""

STATE_FORMAT = 2
"""Changes with the meaning of a state, or with the order or the views that it stands for."""


@dataclass(frozen=True)
class TwoViewBatch:
    """MoCo's two views. query, key: uint8 [N, 1, H, W] on the loader's device; sample_id: int64 [N], CPU.

    query_tones, key_tones: the tone curves of the views, float32 [N, 256], CPU: the gray level, 0..255, that each pixel
    value stands for. Pixels come as stored: whatever uses a view looks them up. None where views have no tone curve.
    key_sample_id: of the images of the key views, where they are others than the queries' (`Positives`), int64 [N].
    group_id: ids of the studies or patients whose keys are no negatives of each other, where these are wider than the
    images themselves, int64 [N].
    """

    query: Tensor
    key: Tensor
    sample_id: Tensor
    query_tones: Tensor | None = None
    key_tones: Tensor | None = None
    key_sample_id: Tensor | None = None
    group_id: Tensor | None = None


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
        positives: Positives = OWN_IMAGE,
    ) -> None:
        world_size = partition.world_size
        self._usable = np.concatenate([~rows["key"].isin(d.quarantine).to_numpy(bool) for d, rows in subsets])
        self.samples, self.quarantined = int(self._usable.sum()), int((~self._usable).sum())
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        refuse_batch(batch_size, world_size, self.samples, [dataset.name for dataset, _ in subsets])
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
        self._partners = None
        if positives.of != "image":
            self._partners = Partners([rows for _, rows in subsets], positives, self._usable, seed)
            self._identity[_POSITIVES] = [positives.of, positives.same_projection]
        self._own_scales = any(view.has_own_scale for view in view_ranges)
        self._shrinkings = [needed_shrinking(subsets, image_size, view_ranges, each_view=own) for own in (False, True)]
        self._shrinks_each_view = True
        self._graph_options = GraphOptions(
            image_size,
            batch_size // world_size,
            self._shrinkings[True],
            placement,
            own_images=self._partners is not None,
        )
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

        Samples quarantined since are left out of the batches to come. A state of an earlier release, in which an image
        was resized once for all of its views, is continued in that way. Raises ResumeError where the state is of
        another format, seed, batch or image size, of other views, or of other samples.
        """
        for key, own in {_POSITIVES: None, **self._identity}.items():
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

    def _plan(self, epoch: int, passed: int) -> BatchPlan:
        return plan_batches(self._usable, self.seed, epoch, batch_size=self.batch_size, passed=passed)

    def _places(self) -> Iterator[Places]:
        """This rank's part of each global batch from the current place on, without end."""
        epoch, passed = self.epoch, self._passed
        while True:
            plan = self._plan(epoch, passed)
            own = plan.batches[:, self._partition.rank :: self._partition.world_size]
            stream = streams(self.seed, epoch, draw_numbers(self._view_ranges))
            partners = None if self._partners is None else np.empty_like(own)
            asked = int(plan.window[0]) if len(own) else 0
            for number, window in enumerate(plan.window):
                while asked <= window + 1:  # the next window is fetched while this one is used
                    ahead = plan.window == asked
                    self._reader.read_ahead(own[ahead].ravel())
                    if self._partners is not None and partners is not None:
                        partners[ahead] = self._partners.of(epoch, own[ahead].ravel()).reshape(-1, own.shape[1])
                        self._reader.read_ahead(np.unique(partners[ahead]))
                    asked += 1
                yield Places(own[number], stream, None if partners is None else partners[number])
            epoch, passed = epoch + 1, 0


class TwoViewLoader(_TrainingLoader):
    """Load the train split (or another) of one or more datasets as batches of MoCo's two views.

    Iterating yields the rest of the current epoch as `TwoViewBatch`; iterating again the next one. image_size: side of
    a view in pixels. batch_size: global. views: None takes the paper's. verify_checksums: check the crc32c of each
    JPEG before it is decoded; a flipped bit in one decodes without an error. `state_dict` and `load_state_dict` resume
    an epoch anywhere. positives: the images of the key views; `partnered` is the number of samples that have another
    one. Raises SubsetError for fewer samples than a batch, a batch that does not divide by the ranks, or positives that
    no sample has.
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
        positives: Positives = OWN_IMAGE,
    ) -> None:
        # By name: --shards A --shards B and the other way round are the same run.
        datasets = sorted(datasets, key=lambda dataset: dataset.name)
        rows = [planned(dataset, split) for dataset in datasets]
        super().__init__(
            list(zip(datasets, rows, strict=True)),
            image_size=image_size,
            batch_size=batch_size,
            seed=seed,
            view_ranges=(views or ViewRange(),) * 2,
            placement=placement,
            partition=partition,
            verify_checksums=verify_checksums,
            positives=positives,
        )
        self.partnered = self._partners.found if self._partners is not None else 0
        if self._partners is not None and not self.partnered:
            names, projection = ", ".join(one.name for one in datasets), " and projection" * positives.same_projection
            raise SubsetError(
                f"{names}: no image of the {split} split has another one of the same {positives.of}{projection}: "
                "take positives of a wider group, or of the image itself"
            )
        mask = positives.mask or positives.of
        self._groups = None if mask == "image" else GroupIds(rows, mask)

    def __iter__(self) -> Iterator[TwoViewBatch]:
        for loaded in self._rest_of_epoch():
            (query, key), (query_tones, key_tones), (ids, key_ids) = loaded.views, loaded.tones, loaded.ids
            yield TwoViewBatch(
                query,
                key,
                ids,
                query_tones,
                key_tones,
                key_sample_id=key_ids if self._partners is not None else None,
                group_id=None if self._groups is None else torch.from_numpy(self._groups.of(ids.numpy())),
            )


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
            yield OneViewBatch(loaded.views[0], loaded.ids[0], loaded.tones[0])


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
            yield OneViewBatch(loaded.views[0], loaded.ids[0])
        self._reader.close()

    def _places(self) -> Iterator[Places]:
        every = np.arange(len(self._reader))
        stream = np.zeros(0, dtype=np.uint32)
        for start in range(0, len(every), self._graph_options.batch_size):
            yield Places(every[start : start + self._graph_options.batch_size], stream)
