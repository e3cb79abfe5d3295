"""The same loader on an NVIDIA GPU: parity with the CPU, resume, throughput, tensors that stay on the device."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from shards.loading.augmentation import ViewRange
from shards.loading.loaders import EvaluationLoader, TwoViewBatch, TwoViewLoader
from shards.loading.placement import Placement
from shards.loading.speed import LIMIT, LOADER, Timing, loader_speed
from tests.shards.loading.test_resume import endless, equal
from tests.shards.small_datasets import write_small_dataset

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU: the loader's GPU path is not tested here")


AUGMENTED = ViewRange(scale=(1, 1.5), crop_area=(0.4, 1), gain=(0.8, 1.2), offset=(-20, 20), gamma=(0.7, 1.4))


def loader_on(dataset: Dataset, device: str, size: int = 48, views: ViewRange | None = None) -> TwoViewLoader:
    return TwoViewLoader(
        [dataset],
        image_size=size,
        batch_size=4,
        seed=5,
        placement=Placement("gpu" if device == "gpu" else "cpu", 0),
        views=views or ViewRange(),
    )


def _on_cpu(batch: TwoViewBatch) -> TwoViewBatch:
    return replace(batch, query=batch.query.cpu(), key=batch.key.cpu())


@pytest.mark.parametrize("views", [None, AUGMENTED], ids=str)
@pytest.mark.parametrize("size", [48, 24])
def test_views_on_a_gpu_are_those_of_the_cpu_but_for_the_decoders_rounding(
    dataset: Dataset, size: int, views: ViewRange | None
) -> None:
    sides = [loader_on(dataset, device, size, views) for device in ("gpu", "cpu")]
    for on_gpu, on_cpu in zip(*sides, strict=True):
        for table, other_table in ((on_gpu.query_tones, on_cpu.query_tones), (on_gpu.key_tones, on_cpu.key_tones)):
            assert (table is None) == (other_table is None) == (views is None)
            assert table is None or other_table is None or torch.equal(table, other_table)
        assert torch.equal(on_gpu.sample_id, on_cpu.sample_id)
        assert on_gpu.sample_id.device.type == "cpu"
        for one, other in ((on_gpu.query, on_cpu.query), (on_gpu.key, on_cpu.key)):
            assert one.device.type == "cuda"
            assert one.dtype == torch.uint8
            difference = (one.cpu().float() - other.float()).abs()
            assert difference.mean() < 0.5
            assert difference.quantile(0.99) <= 2


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_run_on_a_gpu_is_resumed_with_the_same_ids_and_pixels(dataset: Dataset, stop: int) -> None:
    expected = [_on_cpu(batch) for batch in itertools.islice(endless(loader_on(dataset, "gpu")), 10)]
    stopped, resumed = loader_on(dataset, "gpu"), loader_on(dataset, "gpu")
    list(itertools.islice(endless(stopped), stop))
    resumed.load_state_dict(stopped.state_dict())
    found = [_on_cpu(batch) for batch in itertools.islice(endless(resumed), 10 - stop)]
    assert all(map(equal, found, expected[stop:]))


def test_a_batch_that_is_kept_on_the_gpu_is_not_written_over(dataset: Dataset) -> None:
    kept = list(itertools.islice(endless(loader_on(dataset, "gpu")), 12))
    again = itertools.islice(endless(loader_on(dataset, "gpu")), 12)
    assert all(equal(_on_cpu(one), _on_cpu(other)) for one, other in zip(kept, again, strict=True))


def test_evaluation_on_a_gpu_gives_every_row_in_order(dataset: Dataset) -> None:
    rows = select(dataset)
    loader = EvaluationLoader(dataset, rows, image_size=48, batch_size=5, placement=Placement("gpu", 0))
    batches = list(loader)
    assert torch.cat([batch.sample_id for batch in batches]).tolist() == rows["sample_id"].tolist()
    cpu = EvaluationLoader(dataset, rows, image_size=48, batch_size=5)
    for one, other in zip(batches, cpu, strict=True):
        assert (one.image.cpu().float() - other.image.float()).abs().mean() < 0.5


def test_a_gpu_is_kept_at_its_limit(tmp_path: Path) -> None:
    """Decode and two warps of 320 pixels and nothing else, against the loader; the shards are in the page cache."""
    root = write_small_dataset(tmp_path / "large", shards={"train-000000": 512}, sizes=[(390, 320), (320, 390)])
    sides = loader_speed(
        [open_dataset(root)], image_size=320, batch_size=128, placement=Placement("gpu", 0, 4), timing=Timing(2.0, 3)
    )
    speeds = {side.name: side.images_per_second for side in sides}
    print({name: round(speed) for name, speed in speeds.items()})
    assert speeds[LOADER] > 0.8 * speeds[LIMIT]
