"""Run DALI graphs and feed them: from places of samples to torch tensors.

The batches that DALI has been given and has not returned yet are kept, so that an error names shard and key.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice, tee

import numpy as np
import numpy.typing as npt
import pandas as pd
import simplejpeg
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from shards.errors import CorruptShardError
from shards.format.dataset import Dataset
from shards.loading.augmentation import ANTIALIAS_BELOW, ViewRange, fixed_matrices, shrunk_shapes, view_matrices
from shards.loading.dali_graph import EncodedBatch, build_pipeline, threads_of_graphs
from shards.loading.placement import Placement
from shards.loading.random_draws import id_words, uniform
from shards.loading.sample_reader import Sample, SampleReader


@dataclass(frozen=True)
class GraphOptions:
    """Properties that a graph is built for. batch_size: of this process. shrink: see `needs_shrinking`."""

    image_size: int
    batch_size: int
    shrink: bool
    placement: Placement


@dataclass(frozen=True)
class Places:
    """Contents of one batch. places: in the reader, int64 [N]. stream: of the epoch, uint32 [D], D=0 if fixed."""

    places: npt.NDArray[np.int64]
    stream: npt.NDArray[np.uint32]


class RunningGraphs:
    """Graphs that take the batches in turn, each with its part of the threads."""

    def __init__(
        self,
        reader: SampleReader,
        batches: Iterator[Places],
        view_ranges: tuple[ViewRange | None, ...],
        options: GraphOptions,
    ) -> None:
        placement = options.placement
        shares = threads_of_graphs(placement.device, placement.threads)
        hands = [islice(copy, first, None, len(shares)) for first, copy in enumerate(tee(batches, len(shares)))]
        self._turns = cycle(
            [
                _RunningGraph(
                    reader, hand, view_ranges, replace(options, placement=replace(placement, threads=threads))
                )
                for hand, threads in zip(hands, shares, strict=True)
            ]
        )

    def run(self) -> tuple[Tensor, ...]:
        """Return the next batch: one uint8 [N, 1, H, W] a view, and the ids, int64 [N]."""
        return next(self._turns).run()


class _RunningGraph:
    """A built graph with its feed. State: the batches fed to DALI that have not come out yet."""

    def __init__(
        self,
        reader: SampleReader,
        batches: Iterator[Places],
        view_ranges: tuple[ViewRange | None, ...],
        options: GraphOptions,
    ) -> None:
        self._reader, self._batches, self._options = reader, batches, options
        self._view_ranges = view_ranges
        self._ahead: deque[npt.NDArray[np.int64]] = deque()
        self._pipeline = build_pipeline(
            self._feed,
            views=len(view_ranges),
            image_size=options.image_size,
            batch_size=options.batch_size,
            shrink=options.shrink,
            placement=options.placement,
        )

    def run(self) -> tuple[Tensor, ...]:
        try:
            *views, ids = self._pipeline.run(self._stream())
        except RuntimeError as error:
            broken = self._undecodable()
            if not broken:
                raise  # no fault of the data: out of memory, a bug
            named = "; ".join(f"{sample.path}: {sample.key}" for sample in broken)
            raise CorruptShardError(
                f"stored as it was written, but no JPEG that can be decoded: {named}. Run `cxr-ingest verify "
                f"{broken[0].path.parent} --decode --quarantine` to leave out all such images, or repair the source "
                "and build the dataset again."
            ) from error
        self._ahead.popleft()
        # DALI's dynamic executor hands its buffers over: no copy, and they live as long as the tensors.
        tensors = [from_dlpack(view.as_tensor()) for view in views]
        return *(tensor.movedim(-1, 1) for tensor in tensors), from_dlpack(ids.as_tensor()).reshape(-1)

    def _stream(self) -> torch.cuda.Stream | None:
        placement = self._options.placement
        return torch.cuda.current_stream(placement.device_id) if placement.device == "gpu" else None

    def _feed(self) -> EncodedBatch:
        batch = next(self._batches)
        self._ahead.append(batch.places)
        words = id_words(self._reader.sample_ids[batch.places])
        jpegs = self._reader.read_batch(batch.places)  # DALI copies them before it asks for more
        shapes, size = self._reader.shapes[batch.places], self._options.image_size
        sizes: list[npt.NDArray[np.float32]] = []
        if self._options.shrink:
            shapes = shrunk_shapes(shapes, size, fixed=None in self._view_ranges)
            sizes = [shapes.astype(np.float32)]
        return jpegs, words, *sizes, *self._matrices(shapes, uniform(words, batch.stream))

    def _matrices(
        self, shapes: npt.NDArray[np.float64], draws: npt.NDArray[np.float32]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Compute the matrices of each view; draws: of all of them, in turn, float32 [N, D]."""
        used = 0
        for view_range in self._view_ranges:
            if view_range is None:
                yield fixed_matrices(shapes, self._options.image_size)
            else:
                own = draws[:, used : used + view_range.draws]
                used += view_range.draws
                yield view_matrices(shapes, self._options.image_size, own, view_range)

    def _undecodable(self) -> list[Sample]:
        """Find the samples that DALI cannot have decoded. Its own message does not say which."""
        places = [place for batch in self._ahead for place in batch]
        return [self._reader.sample(place) for place in places if not _decodes(self._reader.read(place))]


def _decodes(jpeg: npt.NDArray[np.uint8]) -> bool:
    try:
        simplejpeg.decode_jpeg(jpeg.tobytes(), colorspace="GRAY", strict=False)  # as DALI decodes
    except ValueError:
        return False
    return True


def needs_shrinking(subsets: Sequence[tuple[Dataset, pd.DataFrame]], image_size: int) -> bool:
    """Tell whether any image is so large that the warp alone would alias."""
    longest = max((rows[["width", "height"]].min(axis=1).max() for _, rows in subsets if len(rows)), default=0)
    return bool(longest * ANTIALIAS_BELOW > image_size)
