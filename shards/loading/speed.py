"""Measure the loader's throughput on given shards and this machine, and compare it with what DALI could do at most.

images/s and CPU milliseconds per image of the loader and of its parts alone are measured in turn, so that a busy minute
of the machine affects all of them alike.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.loading.augmentation import ViewRange
from shards.loading.dali_graph import PREFETCH, threads_of_graphs
from shards.loading.loaders import TwoViewBatch, TwoViewLoader
from shards.loading.placement import Device, Placement
from shards.loading.sample_reader import SampleReader
from shards.loading.speed_limit import limit_batches

LOADER, LIMIT, READING = "two views", "limit: decode and two warps", "reading and checksums"
AS_INPUT = "two views as the network's input"

_IN_MEMORY = 1024
"""Images that the limit decodes over and over: about 25 MB at 320 pixels."""


@dataclass(frozen=True)
class Speed:
    """Throughput of one side.

    images_per_second and cpu_ms (of all threads, an image): medians; spread: least and most images/s.

    cpu_ms does not include the work of a GPU.
    """

    name: str
    images_per_second: float
    cpu_ms: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class Timing:
    """Each side is measured `rounds` times, each time for so many seconds."""

    seconds: float
    rounds: int


def loader_speed(
    datasets: Sequence[Dataset],
    *,
    image_size: int,
    batch_size: int,
    placement: Placement,
    timing: Timing,
    views: ViewRange | None = None,
    as_input: Callable[[TwoViewBatch], object] | None = None,
) -> list[Speed]:
    """Measure the loader, the limit and reading alone.

    views: as of TwoViewLoader. as_input: makes the input of the networks from a batch; the loader is then measured with
    it too.
    """
    loader = TwoViewLoader(
        datasets, image_size=image_size, batch_size=batch_size, seed=0, placement=placement, views=views
    )
    reader = SampleReader([(dataset, select(dataset, "train")) for dataset in datasets])
    shape = np.median(np.concatenate([select(d, "train")[["height", "width"]].to_numpy() for d in datasets]), axis=0)
    jpegs = itertools.cycle([reader.read(place) for place in _spread_out(len(reader))])
    shares = threads_of_graphs(placement.device, placement.threads)
    limit = limit_batches(
        lambda: list(itertools.islice(jpegs, batch_size)),
        image_shape=(float(shape[0]), float(shape[1])),
        image_size=image_size,
        batch_size=batch_size,
        placement=placement,
        shares=shares,
    )
    places = itertools.cycle(np.random.default_rng(0).permutation(len(reader)).tolist())

    def read_batch() -> None:
        reader.read_batch(np.fromiter(itertools.islice(places, batch_size), dtype=np.int64))

    batches = _endless(loader)
    sides: dict[str, Callable[[], object]] = {
        LOADER: lambda: next(batches),
        LIMIT: lambda: next(limit),
        READING: read_batch,
    }
    if as_input is not None:
        sides[AS_INPUT] = lambda: as_input(next(batches))
    measured = _in_turn(sides, PREFETCH * len(shares) + 1, batch_size, timing, placement.device)
    loader.close()
    reader.close()
    return measured


def _in_turn(
    sides: Mapping[str, Callable[[], object]], prepared: int, batch_size: int, timing: Timing, device: Device
) -> list[Speed]:
    """Measure the sides in turn. prepared: batches of a side that may be ready from before."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(timing.rounds + 1):
        for name, run in sides.items():
            for _ in range(prepared):
                run()
            figures = _measure(run, batch_size, timing.seconds, device)
            if number:  # the first round fills caches
                measured[name].append(figures)
    return [_speed(name, figures) for name, figures in measured.items()]


def _measure(run: Callable[[], object], batch_size: int, seconds: float, device: Device) -> tuple[float, float]:
    """Images/s and CPU ms an image."""
    _wait(device)
    start, cpu, images = time.perf_counter(), time.process_time(), 0
    while not images or time.perf_counter() - start < seconds:
        run()
        images += batch_size
    _wait(device)
    return images / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / images


def _wait(device: Device) -> None:
    if device == "gpu":
        torch.cuda.synchronize()


def _endless(loader: TwoViewLoader) -> Iterator[TwoViewBatch]:
    while True:
        yield from loader


def _spread_out(samples: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, samples - 1, min(samples, _IN_MEMORY)).astype(np.int64))


def _speed(name: str, figures: Sequence[tuple[float, float]]) -> Speed:
    rates = [rate for rate, _ in figures]
    return Speed(name, statistics.median(rates), statistics.median(cpu for _, cpu in figures), (min(rates), max(rates)))
