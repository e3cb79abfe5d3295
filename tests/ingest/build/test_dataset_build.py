import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from click.testing import CliRunner

from ingest.archives.chexpert import LABELS, Chexpert
from ingest.build.dataset_build import Execution, Task, build, build_part, ensure_plan, finish
from ingest.build.fill import Job, fill_shard
from ingest.build.header import Options, plan_header
from ingest.cli.main import main
from ingest.workers import PROCESS_NAME
from shards import DatasetError, open_dataset
from shards.format.verify import verify
from tests.ingest.archives.layouts import jpeg, row, tree, write_chexpert, write_csv

OPTIONS = Options("chexpert", 64, 7, 0, 0.1, 0.2)
SLOW_OPTIONS = Options("chexpert", 64, 9, 0, 0.0, 0.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Chexpert:
    folder = tmp_path_factory.mktemp("source")
    write_chexpert(folder)
    return Chexpert(folder)


@pytest.fixture(scope="module")
def undisturbed(source: Chexpert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    build(out, source, OPTIONS, Execution(workers=1, max_rejected=0))
    return out


@pytest.fixture
def own_source(tmp_path: Path) -> Chexpert:
    """A source that a test may damage."""
    write_chexpert(tmp_path / "source")
    return Chexpert(tmp_path / "source")


def rejected(out: Path) -> list[dict[str, str]]:
    with (out / "rejected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_dataset_holds_every_sample_as_the_source_says(source: Chexpert, undisturbed: Path) -> None:
    dataset = open_dataset(undisturbed)
    found = source.read().samples.set_index("key")
    samples = dataset.samples.set_index("key")
    assert verify(undisturbed, decode=True) == []
    assert sorted(samples.index) == sorted(found.index)
    expected = found.loc[samples.index]
    np.testing.assert_array_equal(samples[list(LABELS)].to_numpy(), expected[list(LABELS)].to_numpy())
    for column in ("patient_id", "study_id", "projection", "age", "source_split", "source_path"):
        assert samples[column].tolist() == expected[column].tolist()
    assert samples[["width", "height"]].min(axis=1).eq(64).all()
    assert not (undisturbed / ".build").exists()
    assert rejected(undisturbed) == []


def test_mean_and_deviation_are_those_of_the_train_split(undisturbed: Path) -> None:
    dataset = open_dataset(undisturbed)
    pixels = []
    for one in dataset.samples.query("split == 'train'").to_dict("records"):
        content = dataset.shard_path(one["shard"]).read_bytes()[one["offset"] : one["offset"] + one["bytes"]]
        pixels.append(simplejpeg.decode_jpeg(content, colorspace="GRAY").ravel())
    flat = np.concatenate(pixels)
    assert dataset.mean == pytest.approx(flat.mean(), rel=1e-9)
    assert dataset.std == pytest.approx(flat.std(), rel=1e-9)
    assert dataset.description.pixels.count == flat.size


def test_two_workers_give_the_same_bytes_as_one(source: Chexpert, undisturbed: Path, tmp_path: Path) -> None:
    build(tmp_path / "out", source, OPTIONS, Execution(workers=2, max_rejected=0))
    assert tree(tmp_path / "out") == tree(undisturbed)


def test_tasks_in_any_order_and_twice_give_the_same_bytes(source: Chexpert, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filled = [build_part(out, source, OPTIONS, Task(index, 3), Execution(workers=1)) for index in (2, 0, 2)]
    assert filled[2] == 0
    with pytest.raises(DatasetError, match="train-000001"):
        finish(out, 0)
    build_part(out, source, OPTIONS, Task(1, 3), Execution(workers=1))
    assert finish(out, 0) is not None
    assert finish(out, 0) is None
    assert tree(out) == tree(undisturbed)


def test_a_moved_source_goes_on_where_the_build_was(source: Chexpert, undisturbed: Path, tmp_path: Path) -> None:
    build_part(tmp_path / "out", source, OPTIONS, Task(0, 2), Execution(workers=1))
    shutil.copytree(source.roots["source"], tmp_path / "moved")
    build(tmp_path / "out", Chexpert(tmp_path / "moved"), OPTIONS, Execution(workers=1, max_rejected=0))
    assert tree(tmp_path / "out") == tree(undisturbed)


def test_a_finished_dataset_is_left_alone(source: Chexpert, undisturbed: Path) -> None:
    before = tree(undisturbed)
    assert build(undisturbed, source, OPTIONS, Execution(workers=1, max_rejected=0)) is None
    assert tree(undisturbed) == before
    with pytest.raises(DatasetError, match="samples_per_shard is 7 there and 9 here"):
        build(undisturbed, source, replace(OPTIONS, samples_per_shard=9), Execution(workers=1, max_rejected=0))
    assert tree(undisturbed) == before


def test_other_options_or_tables_over_a_build_in_progress_are_refused(own_source: Chexpert, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_part(out, own_source, OPTIONS, Task(0, 2), Execution(workers=1))
    before = tree(out)
    with pytest.raises(DatasetError, match="seed is 0 there and 3 here"):
        build(out, own_source, replace(OPTIONS, seed=3), Execution(workers=1, max_rejected=0))
    table = own_source.roots["source"] / "valid.csv"
    table.write_text(table.read_text().replace("-1.0", "1.0", 1))
    with pytest.raises(DatasetError, match=r"valid\.csv is \w+ there and \w+ here"):
        build_part(out, own_source, OPTIONS, Task(1, 2), Execution(workers=1))
    assert tree(out) == before


def test_shards_of_something_unknown_are_not_overwritten(source: Chexpert, tmp_path: Path) -> None:
    (tmp_path / "train-000000.tar").write_bytes(b"precious")
    with pytest.raises(DatasetError, match=r"train-000000\.tar"):
        build(tmp_path, source, OPTIONS, Execution(workers=1, max_rejected=0))
    assert (tmp_path / "train-000000.tar").read_bytes() == b"precious"


def test_bad_images_are_rejected_with_their_line_and_the_rest_is_built(own_source: Chexpert, tmp_path: Path) -> None:
    root = own_source.roots["source"]
    paths = own_source.read().samples["source_path"].tolist()
    (root / paths[0]).unlink()
    (root / paths[1]).write_bytes(b"")
    (root / paths[2]).write_bytes((root / paths[2]).read_bytes()[:300])
    (root / paths[3]).write_text("<html>404</html>")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg(0, 90, 90))
    (root / paths[4]).unlink()
    (root / paths[4]).symlink_to(secret)
    out = tmp_path / "out"
    build(out, own_source, OPTIONS, Execution(workers=2, max_rejected=0.2))
    assert [(entry["path"], entry["reason"].partition(":")[0]) for entry in rejected(out)] == sorted(
        zip(
            paths[:5],
            ["missing file", *["unreadable image"] * 3, "path leaves the source"],
            strict=True,
        )
    )
    assert all(entry["reason"].endswith(")") and "train.csv line " in entry["reason"] for entry in rejected(out))
    for entry in rejected(out):
        assert list(entry) == ["path", "reason", "kind", "detail", "where"]
        assert entry["reason"] == f"{entry['kind']}: {entry['detail']} ({entry['where']})"
    assert sorted(open_dataset(out).samples["source_path"]) == sorted(paths[5:])


def test_too_many_rejected_rows_stop_the_build_and_mended_images_are_taken_up(
    own_source: Chexpert, undisturbed: Path, tmp_path: Path
) -> None:
    root = own_source.roots["source"]
    path = own_source.read().samples["source_path"].iloc[11]
    content = (root / path).read_bytes()
    (root / path).write_bytes(content[:100])
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match=r"1 of \d+ rows were rejected .*1 unreadable image") as refused:
        build(out, own_source, OPTIONS, Execution(workers=1, max_rejected=0.001))
    assert path in str(refused.value)
    assert not (out / "dataset.json").exists()
    (root / path).write_bytes(content)
    assert build(out, own_source, OPTIONS, Execution(workers=1, max_rejected=0.001)) is not None
    assert tree(out) == tree(undisturbed)


def test_a_shard_whose_every_row_is_rejected_leaves_no_tar(own_source: Chexpert, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for path in own_source.read().samples.query("split == 'valid'")["source_path"]:
        (own_source.roots["source"] / path).unlink()
    build(out, own_source, replace(OPTIONS, valid_fraction=0.0), Execution(workers=1, max_rejected=0.5))
    dataset = open_dataset(out)
    assert {shard.split for shard in dataset.shards} == {"train", "test"}
    assert not list(out.glob("valid*"))
    assert verify(out) == []


def test_a_source_of_broken_images_only_is_refused(tmp_path: Path) -> None:
    paths = [f"train/patient{i}/study1/view1_frontal.jpg" for i in range(9)]
    write_csv(tmp_path / "train.csv", [row(path) for path in paths])
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(b"")
    with pytest.raises(DatasetError, match="every image was rejected"):
        build(
            tmp_path / "out",
            Chexpert(tmp_path),
            replace(OPTIONS, test_fraction=0),
            Execution(workers=1, max_rejected=1),
        )


@pytest.fixture(scope="module")
def slow_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images large enough that a build of them can be interrupted."""
    folder = tmp_path_factory.mktemp("slow")
    contents = [jpeg(seed, 1700, 1300) for seed in range(3)]
    rows = []
    for number in range(108):
        path = f"train/patient{number:05d}/study1/view1_frontal.jpg"
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(contents[number % 3])
        rows.append(row(path))
    write_csv(folder / "train.csv", rows)
    return folder


def start_build(
    source: Path, out: Path, workers: int, preexec_fn: Callable[[], None] | None = None
) -> "subprocess.Popen[bytes]":
    options = [
        "--dataset",
        "chexpert",
        "--name",
        "chexpert",
        "--samples-per-shard",
        "9",
        "--short-side",
        "64",
        "--workers",
        str(workers),
    ]
    command = [sys.executable, "-m", "ingest.cli.main", "build-shards", str(source), str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=preexec_fn)


def wait_for_a_shard(out: Path, process: "subprocess.Popen[bytes]") -> None:
    while not list((out / ".build" / "done").glob("*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def slow_undisturbed(slow_source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("slow-undisturbed") / "out"
    build(out, Chexpert(slow_source), SLOW_OPTIONS, Execution(workers=2, max_rejected=0))
    return tree(out)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_build_resumes_to_the_same_bytes_and_leaves_no_process_behind(
    slow_source: Path, slow_undisturbed: dict[str, bytes], tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        process = start_build(slow_source, out, workers)
        done = len(list((out / ".build" / "done").glob("*.json")))
        while len(list((out / ".build" / "done").glob("*.json"))) <= done:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        workers_there = children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 10
        while any(is_alive(child) for child in workers_there) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(is_alive(child) for child in workers_there)
        assert not (out / "dataset.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in (out / ".build" / "done").glob("*.json")}
    assert kept
    stamps = {name: (out / name.replace(".json", ".tar")).stat().st_mtime_ns for name in kept}
    stdout, stderr = start_build(slow_source, out, workers).communicate(timeout=300)
    assert b"digest" in stdout, stderr
    assert f"{len(kept)} of 12 shards are there already" in stderr.decode()
    assert tree(out) == slow_undisturbed
    assert all((out / name.replace(".json", ".tar")).stat().st_mtime_ns == stamp for name, stamp in stamps.items())


def test_a_killed_worker_ends_the_build_with_its_shards_name(
    slow_source: Path, slow_undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start_build(slow_source, out, 2)
    wait_for_a_shard(out, process)
    workers = [child for child in children(process.pid) if PROCESS_NAME in Path(f"/proc/{child}/cmdline").read_text()]
    os.kill(workers[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "SIGKILL" in stderr.decode()
    assert "train-0000" in stderr.decode()
    assert "Traceback" not in stderr.decode()
    start_build(slow_source, out, 2).communicate(timeout=300)
    assert tree(out) == slow_undisturbed


def test_a_disk_that_takes_no_more_ends_the_build_plainly_and_the_next_run_goes_on(
    slow_source: Path, slow_undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    limit = 30_000  # less than a shard; the plan is there already
    build_part(out, Chexpert(slow_source), SLOW_OPTIONS, Task(11, 12), Execution(workers=1))
    process = start_build(
        slow_source, out, 2, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit,) * 2)
    )
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "could not be written: File too large" in stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert len(list(out.glob("*.tar"))) == 1
    start_build(slow_source, out, 2).communicate(timeout=300)
    assert tree(out) == slow_undisturbed


def test_two_tasks_at_once_over_the_same_shards_give_the_same_bytes(
    slow_source: Path, slow_undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ingest.cli.main", "build-shards", str(slow_source), str(out)]
    options = [
        "--dataset",
        "chexpert",
        "--name",
        "chexpert",
        "--samples-per-shard",
        "9",
        "--short-side",
        "64",
        "--workers",
        "1",
    ]
    tasks = [
        subprocess.Popen([*command, *options, "--task-index", "0", "--task-count", "1"], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [task.communicate(timeout=300) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], outputs
    assert finish(out, 0) is not None
    assert tree(out) == slow_undisturbed


def test_a_task_that_is_still_at_work_when_the_build_ends_leaves_it_as_it_is(
    source: Chexpert, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plan = ensure_plan(out, source, OPTIONS, plan_header(source, OPTIONS))
    ended: list[object] = []

    def meanwhile(read: int, rejected: int) -> None:
        if not ended:
            ended.append(build(out, source, OPTIONS, Execution(workers=1, max_rejected=0)))

    fill_shard(Job(out, plan, source.roots), plan.shards[0], meanwhile)
    assert ended != [None]
    assert tree(out) == tree(undisturbed)
    assert not (out / ".build").exists()


def test_a_shard_that_another_task_has_filled_meanwhile_is_not_filled_again(source: Chexpert, tmp_path: Path) -> None:
    plan = ensure_plan(tmp_path, source, OPTIONS, plan_header(source, OPTIONS))
    job, counts = Job(tmp_path, plan, source.roots), []
    fill_shard(job, plan.shards[0], lambda *count: None)
    before = (tmp_path / f"{plan.shards[0]}.tar").stat()
    fill_shard(job, plan.shards[0], lambda *count: counts.append(count))
    assert (tmp_path / f"{plan.shards[0]}.tar").stat() == before
    assert counts == [(7, 0)]


def test_a_record_whose_files_are_not_those_it_speaks_of_does_not_count(
    source: Chexpert, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build_part(out, source, OPTIONS, Task(0, 1), Execution(workers=1))
    done = out / ".build" / "done"
    (done / "train-000000.json").write_text("{")
    (done / "train-000001.json").write_text("[]")
    shutil.copy(done / "train-000003.parquet", done / "train-000002.parquet")
    (done / "train-000003.parquet").unlink()
    (out / "valid-000000.idx").unlink()
    with pytest.raises(DatasetError, match=r"5 of \d+ shards are not filled yet"):
        finish(out, 0)
    assert build_part(out, source, OPTIONS, Task(0, 1), Execution(workers=1)) == 5
    assert finish(out, 0) is not None
    assert tree(out) == tree(undisturbed)


def test_a_tar_that_an_earlier_run_wrote_goes_when_its_every_image_is_gone(
    own_source: Chexpert, tmp_path: Path
) -> None:
    out, options = tmp_path / "out", replace(OPTIONS, valid_fraction=0.0)
    build_part(out, own_source, options, Task(0, 1), Execution(workers=1))
    (out / ".build" / "done" / "valid-000000.json").unlink()
    for path in own_source.read().samples.query("split == 'valid'")["source_path"]:
        (own_source.roots["source"] / path).unlink()
    (out / ".build" / "done" / "valid-000001.json").unlink(missing_ok=True)
    build(out, own_source, options, Execution(workers=1, max_rejected=0.5))
    assert not list(out.glob("valid*"))


def test_finalize_judges_by_the_share_that_the_tasks_were_told(own_source: Chexpert, tmp_path: Path) -> None:
    (own_source.roots["source"] / own_source.read().samples["source_path"].iloc[0]).unlink()
    build_part(tmp_path / "strict", own_source, OPTIONS, Task(0, 1), Execution(workers=1, max_rejected=0.001))
    build_part(tmp_path / "mild", own_source, OPTIONS, Task(0, 1), Execution(workers=1, max_rejected=0.5))
    with pytest.raises(DatasetError, match=r"allowed 0\.10%"):
        finish(tmp_path / "strict")
    assert finish(tmp_path / "mild") is not None
    assert finish(tmp_path / "strict", 0.5) is not None


def test_what_writers_left_behind_long_ago_is_removed_and_what_is_new_is_not(source: Chexpert, tmp_path: Path) -> None:
    old, new = tmp_path / ".train-000009.tar.0123456789abcdef.tmp", tmp_path / ".train-000009.tar.fedcba9876543210.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 86_400,) * 2)
    build_part(tmp_path, source, OPTIONS, Task(0, 9), Execution(workers=1))
    assert not old.exists()
    assert new.exists()
    build(tmp_path, source, OPTIONS, Execution(workers=1, max_rejected=0))
    assert not new.exists()


def test_hashed_identifiers_and_limits_reach_the_shards(own_source: Chexpert, tmp_path: Path) -> None:
    salt = tmp_path / "salt"
    salt.write_bytes(b"0123456789abcdef-never-to-be-seen")
    (own_source.roots["source"] / own_source.read().samples["source_path"].iloc[0]).unlink()
    command = [
        "build-shards", str(own_source.roots["source"]), str(tmp_path / "out"), "--dataset", "chexpert",
        "--name", "few", "--workers", "1", "--hash-identifiers", str(salt), "--max-pixels", "13000",
        "--max-rejected", "0.9", "--samples-per-shard", "9",
    ]  # fmt: skip
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    found = tree(tmp_path / "out")
    for secret in (b"patient00", b"study1", b"view1", b"never-to-be-seen", str(tmp_path).encode()):
        assert not [name for name, content in found.items() if secret in content]
    assert open_dataset(tmp_path / "out").samples["source_path"].isna().all()
    kinds = {entry["reason"].partition(":")[0] for entry in rejected(tmp_path / "out")}
    assert kinds == {"missing file", "image too large"}
    salt.write_bytes(b"short")
    assert "can be guessed" in CliRunner().invoke(main, command).output


def test_what_is_stored_has_no_machine_path_and_no_time(undisturbed: Path, source: Chexpert) -> None:
    description = json.loads((undisturbed / "dataset.json").read_text())
    assert description["options"].keys() == {
        "short_side", "samples_per_shard", "valid_fraction", "test_fraction", "jpeg_quality", "source_tables",
        "max_pixels", "drop_duplicates", "hash_identifiers",
    }  # fmt: skip
    machine_path = str(source.roots["source"]).encode()
    assert not any(machine_path in content for content in tree(undisturbed).values())
