"""Groups of embeddings: layout on disk, pieces of any size, interruptions, races, damage."""

import json
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from training.backbones.inference import Features, Ids
from training.downstream import embeddings
from training.downstream.embeddings import read_embeddings, write_embeddings
from training.errors import TrainingError

Batches = Iterator[tuple[Features, Ids]]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four rows a chunk, sixteen a file."""
    monkeypatch.setattr(embeddings, "CHUNK_ROWS", 4)
    monkeypatch.setattr(embeddings, "SHARD_ROWS", 16)


def arrays(rows: int, dimension: int = 3, seed: int = 0) -> tuple[Features, Ids]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, dimension)).astype(np.float32)
    return features, generator.integers(0, 2**63 - 1, rows)


def batches(features: Features, ids: Ids, size: int = 5) -> Batches:
    for start in range(0, len(ids), size):
        yield features[start : start + size], ids[start : start + size]


def write(path: Path, rows: int, size: int = 5, **attributes: object) -> tuple[Features, Ids]:
    features, ids = arrays(rows)
    write_embeddings(path, batches(features, ids, size), rows, 3, attributes)
    return features, ids


def data_files(path: Path, array: str) -> list[Path]:
    return [file for file in (path / array).rglob("*") if file.is_file() and file.name != "zarr.json"]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("rows", [1, 5, 16, 17, 50])
@pytest.mark.parametrize("size", [1, 5, 64])
def test_what_is_written_is_read_whatever_the_sizes(rows: int, size: int, tmp_path: Path) -> None:
    path = tmp_path / "e.zarr"
    features, ids = write(path, rows, size, dataset={"name": "x", "digest": "y"})
    found = read_embeddings(path)
    assert [found.features.dtype, found.sample_id.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
    np.testing.assert_array_equal(found.features, features)
    np.testing.assert_array_equal(found.sample_id, ids)
    assert found.attributes["dataset"] == {"name": "x", "digest": "y"}
    assert len(data_files(path, "features")) == len(data_files(path, "sample_id")) == -(-rows // 16)


def test_many_rows_lie_in_few_files_and_plain_zarr_reads_them(tmp_path: Path) -> None:
    rows = embeddings.SHARD_ROWS + 1500
    features, ids = arrays(rows, 8)
    write_embeddings(tmp_path / "e.zarr", batches(features, ids, 640), rows, 8, {})
    assert len(data_files(tmp_path / "e.zarr", "features")) == 2
    group = zarr.open_group(tmp_path / "e.zarr", mode="r")
    assert group.metadata.zarr_format == 3
    array = group["features"]
    assert isinstance(array, zarr.Array)
    assert (str(array.dtype), array.shape) == ("float32", (rows, 8))
    assert (array.chunks, array.shards) == ((1024, 8), (16384, 8))
    np.testing.assert_array_equal(array[16_380:16_390], features[16_380:16_390])


@pytest.mark.usefixtures("small_shards")
def test_no_rows_at_all_are_a_group_too(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "e.zarr", iter(()), 0, 3, {})
    assert read_embeddings(tmp_path / "e.zarr").features.shape == (0, 3)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "CHUNK_ROWS", 64)
    monkeypatch.setattr(embeddings, "SHARD_ROWS", 256)

    def peak(rows: int) -> int:
        """Bytes above the start, while rows of 4 KiB come in batches of 60."""
        generator = np.random.default_rng(0)

        def made() -> Batches:
            for start in range(0, rows, 60):
                n = min(60, rows - start)
                yield generator.random((n, 1024), dtype=np.float32), np.arange(start, start + n)

        tracemalloc.start()
        write_embeddings(tmp_path / f"{rows}.zarr", made(), rows, 1024, {})
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(256)  # whatever is loaded on first use
    few, many = peak(600), peak(3000)
    assert many < 1.3 * few
    assert many < 3000 * 4096 / 2


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("rows", [19, 21, 40])
def test_more_or_fewer_embeddings_than_samples_are_refused_and_leave_nothing(rows: int, tmp_path: Path) -> None:
    features, ids = arrays(rows)
    with pytest.raises(TrainingError, match="for 20 samples"):
        write_embeddings(tmp_path / "e.zarr", batches(features, ids), 20, 3, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_write_leaves_what_was_there(error: type[BaseException], existing: bool, tmp_path: Path) -> None:
    before = write(tmp_path / "e.zarr", 7) if existing else None

    def interrupted() -> Batches:
        yield from batches(*arrays(20, seed=1))
        raise error("stopped")

    with pytest.raises(error, match="stopped"):
        write_embeddings(tmp_path / "e.zarr", interrupted(), 40, 3, {})
    assert [path.name for path in tmp_path.iterdir()] == (["e.zarr"] if existing else [])
    if before is not None:
        np.testing.assert_array_equal(read_embeddings(tmp_path / "e.zarr").features, before[0])


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("keep", [False, True])
def test_embeddings_that_are_there_are_replaced_or_kept_as_asked(keep: bool, tmp_path: Path) -> None:
    path = tmp_path / "e.zarr"
    old, _ = write(path, 40)
    new, ids = arrays(9, seed=1)
    write_embeddings(path, batches(new, ids), 9, 3, {}, keep_existing=keep)
    np.testing.assert_array_equal(read_embeddings(path).features, old if keep else new)
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_may_become_embeddings(tmp_path: Path) -> None:
    (tmp_path / "e.zarr").mkdir()
    features, _ = write(tmp_path / "e.zarr", 3)
    np.testing.assert_array_equal(read_embeddings(tmp_path / "e.zarr").features, features)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_embeddings_is_never_replaced(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "thesis"
    if kind == "folder":
        path.mkdir()
    text = path if kind == "file" else path / "chapter.txt"
    text.write_text("years of work")
    with pytest.raises(TrainingError, match="thesis is there and holds no embeddings"):
        write(path, 3)
    assert text.read_text() == "years of work"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("overtaken_at", [1, 2, 3])
@pytest.mark.parametrize("existing", [False, True])
def test_a_writer_that_is_overtaken_at_any_rename_ends_with_a_whole_group(
    existing: bool, overtaken_at: int, keep: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e.zarr"
    sets = {seed: arrays(20, seed=seed) for seed in (0, 1, 2)}
    if existing:
        write(path, 20)
    rename, calls = Path.rename, 0

    def renaming(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == overtaken_at:
            with monkeypatch.context() as other_process:
                other_process.setattr(Path, "rename", rename)
                write_embeddings(path, batches(*sets[1]), 20, 3, {"seed": 1}, keep_existing=False)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renaming)
    write_embeddings(path, batches(*sets[2]), 20, 3, {"seed": 2}, keep_existing=keep)
    found = read_embeddings(path)
    if not keep:
        assert found.attributes["seed"] == 2
    np.testing.assert_array_equal(found.features, sets[int(found.attributes.get("seed", 0))][0])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("keep", [False, True])
def test_writers_of_the_same_group_at_once_do_not_tear_it(keep: bool, tmp_path: Path) -> None:
    path, barrier = tmp_path / "e.zarr", threading.Barrier(2)

    def write_again_and_again(seed: int) -> None:
        for _ in range(5):
            barrier.wait(60)
            write_embeddings(path, batches(*arrays(50, seed=seed)), 50, 3, {"seed": seed}, keep_existing=keep)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write_again_and_again, seed) for seed in (1, 2)]:
            done.result()
    found = read_embeddings(path)
    np.testing.assert_array_equal(found.features, arrays(50, seed=int(found.attributes["seed"]))[0])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("small_shards")
def test_a_missing_file_is_noticed_though_zarr_reads_it_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "e.zarr"
    write(path, 50)
    data_files(path, "features")[1].unlink()
    with pytest.raises(TrainingError, match="not hold the embeddings that were written"):
        read_embeddings(path)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("array", ["features", "sample_id"])
def test_a_changed_byte_is_noticed_wherever_it_is(array: str, tmp_path: Path) -> None:
    path = tmp_path / "e.zarr"
    write(path, 16)
    (file,) = data_files(path, array)
    content = file.read_bytes()
    for place in range(0, len(content), 19):
        changed = bytearray(content)
        changed[place] ^= 0x10
        file.write_bytes(bytes(changed))
        try:
            found = read_embeddings(path)
        except TrainingError:
            continue
        # Not every bit of a compressed frame matters. If it is read, it is what was written.
        np.testing.assert_array_equal(found.features, arrays(16)[0])


def test_what_holds_no_embeddings_or_those_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nowhere does not hold embeddings"):
        read_embeddings(tmp_path / "nowhere")
    zarr.create_group(tmp_path / "other.zarr", attributes={"format_version": 1})
    with pytest.raises(TrainingError, match="does not hold embeddings"):
        read_embeddings(tmp_path / "other.zarr")
    write(tmp_path / "e.zarr", 3)
    described = json.loads((tmp_path / "e.zarr" / "zarr.json").read_text())
    described["attributes"]["format_version"] = 2
    (tmp_path / "e.zarr" / "zarr.json").write_text(json.dumps(described))
    with pytest.raises(TrainingError, match="format version 2, not 1"):
        read_embeddings(tmp_path / "e.zarr")
    (tmp_path / "e.zarr" / "zarr.json").write_text("{")
    with pytest.raises(TrainingError, match="does not hold embeddings"):
        read_embeddings(tmp_path / "e.zarr")
