"""Make the sides of the loader's benchmark: ours, what a user would write instead, and the least that could be done.

Each gives endless batches of two views an image, from the same tars.
"""

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
import webdataset
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.loading.augmentation import ViewRange
from shards.loading.dali_graph import threads_of_graphs
from shards.loading.loaders import TwoViewBatch, TwoViewLoader
from shards.loading.placement import ON_CPU, Placement
from shards.loading.positives import OWN_IMAGE, Positives
from shards.loading.sample_reader import SampleReader
from shards.loading.speed_limit import limit_batches, turned
from training.backbones.networks import images_to_input

TwoViews = Callable[[bytes], tuple[Tensor, Tensor]]
Batches = Iterator[Any]

_DEGREES = 10.0
_FROM_VIEW = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True)
class Case:
    """One comparison. size: pixels of a view. threads: of ours, and workers of theirs. seconds: of a measurement."""

    size: int
    threads: int
    batch_size: int
    rounds: int
    seconds: float


AUGMENTED = ViewRange(crop_area=(0.4, 1.0), gain=(0.8, 1.2), offset=(-10, 10), gamma=(0.8, 1.25))
"""A tone curve and a crop, for the comparison with neither."""


def ours(
    dataset: Dataset,
    case: Case,
    *,
    views: ViewRange | None = None,
    verify_checksums: bool = True,
    positives: Positives = OWN_IMAGE,
) -> Iterator[TwoViewBatch]:
    """Our loader."""
    loader = TwoViewLoader(
        [dataset],
        image_size=case.size,
        batch_size=case.batch_size,
        seed=0,
        placement=Placement(threads=case.threads),
        views=views,
        verify_checksums=verify_checksums,
        positives=positives,
    )
    while True:
        yield from loader


def as_input(batches: Iterator[TwoViewBatch]) -> Batches:
    """The networks' input of each batch: normalised float32, three channels, tone curves looked up."""
    for batch in batches:
        yield (
            images_to_input(batch.query, 128.0, 64.0, batch.query_tones),
            images_to_input(batch.key, 128.0, 64.0, batch.key_tones),
        )


def published_recipe(size: int) -> TwoViews:
    """PIL in RGB through torchvision's classic transforms, twice (MoCo-CXR's pretraining)."""
    view = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(_DEGREES),
            transforms.RandomCrop(size),
            transforms.ToTensor(),
            transforms.Normalize([0.5020] * 3, [0.085585] * 3),
        ]
    )

    def two_views(jpeg: bytes) -> tuple[Tensor, Tensor]:
        image = Image.open(io.BytesIO(jpeg)).convert("RGB")
        return view(image), view(image)

    return two_views


def pil_gray(size: int) -> TwoViews:
    """The same in gray, resized once, bilinear as ours, and left uint8."""
    resize = transforms.Resize(size)
    view = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(_DEGREES, interpolation=transforms.InterpolationMode.BILINEAR),
            transforms.RandomCrop(size),
            transforms.PILToTensor(),
        ]
    )

    def two_views(jpeg: bytes) -> tuple[Tensor, Tensor]:
        image = resize(Image.open(io.BytesIO(jpeg)))
        return view(image), view(image)

    return two_views


def torchvision_v2(size: int) -> TwoViews:
    """The same views as well as torchvision can: gray uint8 tensors, resized once, bilinear as ours."""
    resize = v2.Resize(size, antialias=True)
    view = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(_DEGREES, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomCrop(size),
        ]
    )

    def two_views(jpeg: bytes) -> tuple[Tensor, Tensor]:
        image = resize(decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), mode=ImageReadMode.GRAY))
        return view(image), view(image)

    return two_views


def data_loader(dataset: Dataset, case: Case, make: Callable[[int], TwoViews]) -> Batches:
    """A DataLoader over the tars, with as many workers as ours has threads."""
    tars = [str(dataset.shard_path(shard.name)) for shard in dataset.shards if shard.split == "train"]
    two_views = make(case.size)
    samples = webdataset.WebDataset(tars, shardshuffle=len(tars), seed=0).shuffle(500).to_tuple("jpg").repeat()
    samples = samples.map(lambda sample: two_views(sample[0]))
    return iter(DataLoader(samples, batch_size=case.batch_size, num_workers=case.threads))


def separate_operators(dataset: Dataset, case: Case) -> Batches:
    """DALI's operators one after the other: decode, then resize, rotate and crop with mirror for each view."""
    jpegs = _jpegs(dataset, case.batch_size)
    pipeline = Pipeline(batch_size=case.batch_size, num_threads=case.threads, device_id=None, prefetch_queue_depth=2)
    with pipeline:
        jpeg = fn.external_source(source=jpegs, batch=True, dtype=types.UINT8, ndim=1)
        image = fn.resize(fn.decoders.image(jpeg, output_type=types.GRAY), resize_shorter=case.size)
        views = []
        for _ in range(2):
            angle = fn.random.uniform(range=(-_DEGREES, _DEGREES))
            turned = fn.rotate(image, angle=angle, keep_size=True, fill_value=0)
            spot = {f"crop_pos_{axis}": fn.random.uniform(range=(0.0, 1.0)) for axis in "xy"}
            mirror = fn.random.coin_flip()
            views.append(
                fn.crop_mirror_normalize(
                    turned, crop=(case.size, case.size), mirror=mirror, dtype=types.FLOAT, output_layout="CHW", **spot
                )
            )
        pipeline.set_outputs(*views)
    pipeline.build()
    while True:
        yield pipeline.run()


def limit(dataset: Dataset, case: Case, shares: Sequence[int] | None = None) -> Batches:
    """The least that DALI could do: decode, and two warps with constant rotations. No draws, checksums or ids.

    shares: the threads of each graph, which take the batches in turn; None is one graph with all threads.
    """
    jpegs = _jpegs(dataset, case.batch_size)
    return limit_batches(
        lambda: next(jpegs),
        image_shape=_typical(dataset),
        image_size=case.size,
        batch_size=case.batch_size,
        placement=ON_CPU,
        shares=shares or [case.threads],
    )


def shared_limit(dataset: Dataset, case: Case) -> Batches:
    """The same in as many graphs as our loader has."""
    return limit(dataset, case, threads_of_graphs("cpu", case.threads))


def opencv(dataset: Dataset, case: Case) -> Batches:
    """Decode by libjpeg-turbo and two bare warpAffine, in as many threads."""
    cv2.setNumThreads(1)
    matrices = [turned(degrees, *_typical(dataset), case.size)[:2] for degrees in (7.0, -4.0)]

    def two_views(jpeg: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        image = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")
        return [cv2.warpAffine(image, matrix, (case.size, case.size), flags=_FROM_VIEW) for matrix in matrices]

    with ThreadPoolExecutor(case.threads) as pool:
        for batch in _jpegs(dataset, case.batch_size):
            yield list(pool.map(two_views, batch))


def _typical(dataset: Dataset) -> tuple[float, float]:
    """Height and width of most of the images."""
    height, width = select(dataset, "train")[["height", "width"]].median()
    return float(height), float(width)


def _jpegs(dataset: Dataset, batch_size: int) -> Iterator[list[npt.NDArray[np.uint8]]]:
    """Batches of encoded images that are in memory already."""
    rows = select(dataset, "train")
    reader = SampleReader([(dataset, rows)])
    images = itertools.cycle([reader.read(place) for place in range(len(rows))])
    while True:
        yield list(itertools.islice(images, batch_size))


def others() -> Sequence[tuple[str, Callable[[Dataset, Case], Batches], float | None]]:
    """Name, side and the ratio that ours is to reach against it."""

    def by_loader(make: Callable[[int], TwoViews]) -> Callable[[Dataset, Case], Batches]:
        return lambda dataset, case: data_loader(dataset, case, make)

    return (
        ("published recipe", by_loader(published_recipe), 5.5),
        ("torchvision v2, gray uint8", by_loader(torchvision_v2), 2.4),
        ("PIL, gray", by_loader(pil_gray), 2.4),
        ("separate DALI operators", separate_operators, 6.0),
        ("limit: DALI decode and two warps", limit, 0.92),
        ("the limit in a graph a thread", shared_limit, None),
        ("simplejpeg and two OpenCV warps", opencv, None),
        ("ours without checksums", partial(ours, verify_checksums=False), None),
    )
