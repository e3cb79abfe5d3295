"""Run DALI graphs and feed them: from places of samples to torch tensors.

The batches that DALI has been given and has not returned yet are kept, so that an error names shard and key.
"""

import enum
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
from shards.loading.augmentation import (
    ANTIALIAS_BELOW,
    ViewRange,
    fixed_matrices,
    shrunk_shapes,
    tone_tables,
    view_matrices,
    view_resizes,
    view_scales,
)
from shards.loading.dali_graph import EncodedBatch, build_pipeline, threads_of_graphs
from shards.loading.placement import Placement
from shards.loading.random_draws import id_words, uniform
from shards.loading.sample_reader import Sample, SampleReader


class Shrinking(enum.Enum):
    """When images are resized, with antialiasing, before they are warped: never, once for all views, for each view."""

    NEVER = "never"
    FOR_ALL_VIEWS = "all views"
    FOR_EACH_VIEW = "each view"


@dataclass(frozen=True)
class GraphOptions:
    """Properties that a graph is built for. batch_size: of this process. shrinking: see `needed_shrinking`.

    own_images: each view is of an image of its own. The graph then takes all of them as one batch with one view each.
    """

    image_size: int
    batch_size: int
    shrinking: Shrinking
    placement: Placement
    own_images: bool = False


@dataclass(frozen=True)
class Places:
    """Contents of one batch. places: in the reader, int64 [N]. stream: of the epoch, uint32 [D], D=0 if fixed.

    partners: places of the images of the second view, int64 [N]; None where both are of one image.
    """

    places: npt.NDArray[np.int64]
    stream: npt.NDArray[np.uint32]
    partners: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class LoadedViews:
    """One batch. views: uint8 [N, 1, H, W] each, on the device. ids: of the images of each view, int64 [N], CPU. tones:
    of each view, float32 [N, 256], CPU, or None."""

    views: tuple[Tensor, ...]
    ids: tuple[Tensor, ...]
    tones: tuple[Tensor | None, ...]


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

    def run(self) -> LoadedViews:
        """Return the next batch."""
        return next(self._turns).run()


_Geometry = tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]
"""Sizes and windows of the resizes, float32 [N, 2], and a matrix for each view, float32 [N, 3, 3]."""
_ViewDraws = tuple[ViewRange | None, npt.NDArray[np.float32]]
"""Range of a view, and its draws, float32 [N, D]."""


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
        self._ahead: deque[tuple[npt.NDArray[np.int64], tuple[Tensor | None, ...]]] = deque()
        views, images = (1, len(view_ranges)) if options.own_images else (len(view_ranges), 1)
        self._pipeline = build_pipeline(
            self._feed,
            views=views,
            image_size=options.image_size,
            batch_size=options.batch_size * images,
            resizes={Shrinking.NEVER: 0, Shrinking.FOR_ALL_VIEWS: 1, Shrinking.FOR_EACH_VIEW: views}[options.shrinking],
            windows=options.shrinking is Shrinking.FOR_EACH_VIEW,
            placement=options.placement,
        )

    def run(self) -> LoadedViews:
        try:
            *warped, ids = self._pipeline.run(self._stream())
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
        _, tones = self._ahead.popleft()
        # DALI's dynamic executor hands its buffers over: no copy, and they live as long as the tensors.
        tensors = tuple(from_dlpack(view.as_tensor()).movedim(-1, 1) for view in warped)
        of_images, views = from_dlpack(ids.as_tensor()).reshape(-1), len(tones)
        if self._options.own_images:
            return LoadedViews(tensors[0].chunk(views), of_images.chunk(views), tones)
        return LoadedViews(tensors, (of_images,) * views, tones)

    def _stream(self) -> torch.cuda.Stream | None:
        placement = self._options.placement
        return torch.cuda.current_stream(placement.device_id) if placement.device == "gpu" else None

    def _feed(self) -> EncodedBatch:
        batch = next(self._batches)
        # A view's draws are those of the query's sample_id, also where it is of another image.
        draws = self._draws_of_views(uniform(id_words(self._reader.sample_ids[batch.places]), batch.stream))
        tones = (None if view_range is None else tone_tables(own, view_range) for view_range, own in draws)
        places = batch.places if batch.partners is None else np.concatenate([batch.places, batch.partners])
        self._ahead.append((places, tuple(None if table is None else torch.from_numpy(table) for table in tones)))
        jpegs = self._reader.read_batch(places)  # DALI copies them before it asks for more
        shapes = self._reader.shapes[places]
        if batch.partners is None:
            sizes, matrices = self._geometry(shapes, draws)
        else:
            sizes, matrices = self._geometry_of_own_images(np.split(shapes, len(draws)), draws)
        words = id_words(self._reader.sample_ids[places])
        return jpegs, words, *sizes, *matrices

    def _draws_of_views(self, draws: npt.NDArray[np.float32]) -> list[_ViewDraws]:
        """Divide the draws of all views, float32 [N, D], among the views."""
        counts = [0 if view_range is None else len(view_range.draw_numbers(0)) for view_range in self._view_ranges]
        ends = np.cumsum(counts)[:-1]
        return list(zip(self._view_ranges, np.split(draws, ends, axis=1), strict=True))

    def _geometry(self, shapes: npt.NDArray[np.float64], draws: Sequence[_ViewDraws]) -> _Geometry:
        """Compute what the graph needs for the resizes before the warps, and the matrices."""
        size, sizes = self._options.image_size, []
        if self._options.shrinking is Shrinking.FOR_ALL_VIEWS:
            shapes = shrunk_shapes(shapes, size, fixed=None in self._view_ranges)
            sizes = [shapes.astype(np.float32)]
        matrices = [
            fixed_matrices(shapes, size) if view_range is None else view_matrices(shapes, size, own, view_range)
            for view_range, own in draws
        ]
        if self._options.shrinking is not Shrinking.FOR_EACH_VIEW:
            return sizes, matrices
        resizes = [
            view_resizes(shapes, size, matrix, view_scales(shapes, size, own, view_range))
            for (view_range, own), matrix in zip(draws, matrices, strict=True)
            if view_range is not None
        ]
        sizes = [values for resize in resizes for values in (resize.size, resize.start, resize.end)]
        return sizes, [resize.matrices for resize in resizes]

    def _geometry_of_own_images(
        self, shapes: Sequence[npt.NDArray[np.float64]], draws: Sequence[_ViewDraws]
    ) -> _Geometry:
        """Compute the same where each view has images of its own, one view after the other. shapes: of each view's."""
        sizes, matrices = zip(
            *(self._geometry(own_shapes, [own]) for own_shapes, own in zip(shapes, draws, strict=True)), strict=True
        )
        return (
            [np.concatenate(parts) for parts in zip(*sizes, strict=True)],
            [np.concatenate(parts) for parts in zip(*matrices, strict=True)],
        )

    def _undecodable(self) -> list[Sample]:
        """Find the samples that DALI cannot have decoded. Its own message does not say which."""
        places = [place for batch, _ in self._ahead for place in batch]
        return [self._reader.sample(place) for place in places if not _decodes(self._reader.read(place))]


def _decodes(jpeg: npt.NDArray[np.uint8]) -> bool:
    try:
        simplejpeg.decode_jpeg(jpeg.tobytes(), colorspace="GRAY", strict=False)  # as DALI decodes
    except ValueError:
        return False
    return True


def needed_shrinking(
    subsets: Sequence[tuple[Dataset, pd.DataFrame]],
    image_size: int,
    view_ranges: Sequence[ViewRange | None],
    *,
    each_view: bool,
) -> Shrinking:
    """Tell whether any image is so large that the warp alone would alias, and whether views differ in that.

    each_view: shrink for each view, to its own scale, where the views' ranges have scales of their own.
    """
    longest = max((rows[["width", "height"]].min(axis=1).max() for _, rows in subsets if len(rows)), default=0)
    scaled = [view for view in view_ranges if view is not None and view.has_own_scale] if each_view else []
    smallest = min((view.smallest_scale for view in scaled), default=1.0)
    if not longest * ANTIALIAS_BELOW > image_size * smallest:
        return Shrinking.NEVER
    return Shrinking.FOR_EACH_VIEW if scaled else Shrinking.FOR_ALL_VIEWS
