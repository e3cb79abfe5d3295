"""Features of a frozen backbone and their cache: what they are, and when they are computed again."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from shards.loading.loaders import EvaluationLoader
from shards.loading.placement import Placement
from training.backbones import inference
from training.backbones.backbone import Backbone
from training.backbones.inference import outputs
from training.backbones.networks import Preprocessing, images_to_input
from training.downstream import embeddings
from training.downstream.embedding_cache import default_cache
from training.downstream.embeddings import read_embeddings, write_embeddings
from training.downstream.features import cached_features, embed
from training.errors import TrainingError
from training.runs.backbone_from import load_backbone


@pytest.fixture(scope="module")
def dataset(labelled_root: Path) -> Dataset:
    return open_dataset(labelled_root)


@pytest.fixture(scope="module")
def backbone(dataset: Dataset) -> Backbone:
    return load_backbone("random", image_size=32, mean=dataset.mean, std=dataset.std)


def entries(cache: Path) -> list[Path]:
    """What a cache holds, but for the empty files that processes lock while they compute."""
    return [path for path in cache.iterdir() if path.suffix != ".lock" or path.stat().st_size]


class NeverRun(nn.Module):
    """A network whose use fails the test."""

    def forward(self, _: Tensor) -> Tensor:
        raise AssertionError("the network ran")


def cached(backbone: Backbone, dataset: Dataset, cache: Path, split: str = "test") -> embeddings.Embeddings:
    return cached_features(backbone, dataset, split, cache=cache, device="cpu", threads=1)


def test_outputs_are_those_of_the_network_in_eval_mode_an_image_at_a_time(
    backbone: Backbone, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "BATCH", 4)  # 17 rows: the last batch holds one
    rows = select(dataset, "valid").iloc[::-1]
    backbone.network.train()
    found = list(outputs(backbone.network, dataset, rows, Preprocessing(32, 90.0, 30.0), device="cpu", threads=1))
    assert [len(ids) for _, ids in found] == [4, 4, 4, 4, 1]
    np.testing.assert_array_equal(np.concatenate([ids for _, ids in found]), rows["sample_id"])
    assert not backbone.network.training
    expected = []
    with torch.no_grad():
        for batch in EvaluationLoader(dataset, rows, image_size=32, batch_size=1):
            expected.append(backbone.network(images_to_input(batch.image, 90.0, 30.0)).numpy())
    np.testing.assert_allclose(
        np.concatenate([part for part, _ in found]), np.concatenate(expected), rtol=1e-4, atol=1e-5
    )


def test_of_no_rows_there_are_no_outputs(backbone: Backbone, dataset: Dataset) -> None:
    rows = select(dataset, "valid").iloc[:0]
    assert not list(outputs(backbone.network, dataset, rows, Preprocessing(32, 1, 1), device="cpu", threads=1))


def test_a_second_call_reads_what_the_first_has_computed(backbone: Backbone, dataset: Dataset, tmp_path: Path) -> None:
    first = cached(backbone, dataset, tmp_path)
    assert first.features.shape == (11, 512)
    np.testing.assert_array_equal(first.sample_id, select(dataset, "test")["sample_id"])
    again = cached(replace(backbone, network=NeverRun()), dataset, tmp_path)
    np.testing.assert_array_equal(again.features, first.features)
    assert again.attributes["dataset"] == dataset.citation
    assert again.attributes["backbone"]["digest"] == backbone.digest


def without_a_sample(dataset: Dataset) -> Dataset:
    samples: pd.DataFrame = dataset.samples.copy()
    samples.loc[samples.index[samples["split"] == "test"][:1], "excluded"] = "duplicate"
    return replace(dataset, samples=samples)


Change = Callable[[Backbone, Dataset], tuple[Backbone, Dataset, str]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda b, d: (replace(b, digest="other"), d, "test"), id="weights"),
        pytest.param(lambda b, d: (replace(b, mean=b.mean + 1), d, "test"), id="mean"),
        pytest.param(lambda b, d: (replace(b, std=b.std + 1), d, "test"), id="std"),
        pytest.param(lambda b, d: (replace(b, image_size=33), d, "test"), id="image size"),
        pytest.param(lambda b, d: (b, replace(d, digest="other"), "test"), id="dataset"),
        pytest.param(lambda b, d: (b, d, "valid"), id="split"),
        pytest.param(lambda b, d: (b, without_a_sample(d), "test"), id="samples that are left out"),
    ],
)
def test_features_are_computed_anew_where_anything_they_depend_on_differs(
    change: Change, backbone: Backbone, dataset: Dataset, tmp_path: Path
) -> None:
    cached(backbone, dataset, tmp_path)
    other_backbone, other_dataset, split = change(backbone, dataset)
    with pytest.raises(AssertionError, match="the network ran"):
        cached(replace(other_backbone, network=NeverRun()), other_dataset, tmp_path, split)
    assert len(entries(tmp_path)) == 1, "a computation that failed must leave nothing"


def test_features_are_those_of_the_rows_that_are_left(backbone: Backbone, dataset: Dataset, tmp_path: Path) -> None:
    whole = cached(backbone, dataset, tmp_path)
    rest = cached(backbone, without_a_sample(dataset), tmp_path)
    np.testing.assert_array_equal(rest.sample_id, whole.sample_id[1:])
    np.testing.assert_allclose(rest.features, whole.features[1:], rtol=1e-4, atol=1e-5)


def test_features_that_another_process_has_put_there_meanwhile_are_taken(
    backbone: Backbone, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cached(backbone, dataset, tmp_path / "other")
    (path,) = entries(tmp_path / "other")

    def overtaken(*args: object, **options: object) -> None:
        shutil.copytree(path, tmp_path / "own" / path.name)
        write_embeddings(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("training.downstream.features.write_embeddings", overtaken)
    stamp = path.stat().st_mtime_ns
    found = cached(backbone, dataset, tmp_path / "own")
    np.testing.assert_array_equal(found.features, whole.features)
    assert [entry.name for entry in entries(tmp_path / "own")] == [path.name]
    assert (tmp_path / "own" / path.name).stat().st_mtime_ns == stamp, "the first one to finish stays"


def test_the_whole_dataset_can_be_embedded_in_pieces(
    backbone: Backbone, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "CHUNK_ROWS", 8)
    monkeypatch.setattr(embeddings, "SHARD_ROWS", 16)
    monkeypatch.setattr(inference, "BATCH", 12)
    rows = select(dataset)
    embed(backbone, dataset, rows, tmp_path / "e.zarr", Placement(threads=1))
    found = read_embeddings(tmp_path / "e.zarr")
    np.testing.assert_array_equal(found.sample_id, rows["sample_id"])
    of_test = cached(backbone, dataset, tmp_path / "cache").features
    places = np.flatnonzero((rows["split"] == "test").to_numpy())
    np.testing.assert_allclose(found.features[places], of_test, rtol=1e-4, atol=1e-5)


def test_a_cache_that_cannot_be_made_is_refused_with_what_to_do(
    backbone: Backbone, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file/cache cannot be made.*--cache or CXR_CACHE"):
        cached(backbone, dataset, tmp_path / "file" / "cache")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CXR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "cxr"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "cxr"
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
