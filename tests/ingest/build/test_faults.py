"""Builds whose every single write, flush and rename fails once, or after which the process is no more."""

import errno
import io
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.archives.chexpert import Chexpert
from ingest.archives.source import SourceRows
from ingest.build.dataset_build import Execution, Task, build, build_part, finish
from ingest.build.header import Options
from shards.errors import DatasetError
from tests.ingest.archives.layouts import jpeg, row, tree, write_csv

OPTIONS = Options("chexpert", 48, 5, 0, 0.0, 0.0, drop_duplicates=True)


class Killed(BaseException):
    """Stands for SIGKILL: what comes after it in the process is undone by the fixture."""


class Faults:
    """Counts the operations that reach a disk, and makes one of them fail: `at` is its number, from 1."""

    def __init__(self) -> None:
        self.done, self.at = 0, 0
        self.error: Callable[[], BaseException] = lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def step(self) -> bool:
        """Whether this operation fails."""
        self.done += 1
        return self.done == self.at


class FailingFile(io.FileIO):
    """A file whose second write is an operation, and puts half of the bytes down before it fails."""

    faults: Faults
    writes = 0

    def write(self, content: bytes) -> int:  # type: ignore[override]
        """Write, or fail half way."""
        self.writes += 1
        if self.writes == 2 and self.faults.step():
            super().write(bytes(content)[: len(content) // 2])
            raise self.faults.error()
        return super().write(content)


class ReadOnce(Chexpert):
    """CheXpert whose tables are read once for all builds of a test."""

    def __init__(self, source: Path) -> None:
        super().__init__(source)
        self._rows = super().read()

    def read(self) -> SourceRows:
        """The rows as they were."""
        return self._rows


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    faults = Faults()
    fsync, replace, unlink, open_path = os.fsync, Path.replace, Path.unlink, Path.open

    def failing_fsync(descriptor: int) -> None:
        if faults.step():
            raise faults.error()
        fsync(descriptor)

    def failing_replace(path: Path, target: Path) -> Path:
        if faults.step():
            raise faults.error()
        return replace(path, target)

    def opened(path: Path, mode: str = "r", **options: object) -> object:
        if mode != "xb":
            return open_path(path, mode, **options)  # type: ignore[call-overload]
        file = FailingFile(path, "xb")
        file.faults = faults
        return file

    def kept_by_the_dead(path: Path, missing_ok: bool = False) -> None:
        killed = 0 < faults.at <= faults.done and isinstance(faults.error(), Killed)
        if not (killed and path.name.endswith(".tmp")):  # a killed writer does not clean up
            unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", failing_fsync)
    monkeypatch.setattr(Path, "replace", failing_replace)
    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(Path, "unlink", kept_by_the_dead)
    return faults


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Chexpert:
    """A shard of train and one of valid, with a broken image and a pair of equal ones."""
    folder = tmp_path_factory.mktemp("source")
    for split, numbers in (("train", range(5)), ("valid", range(5, 7))):
        paths = [f"{split}/patient{number:05d}/study1/view1_frontal.jpg" for number in numbers]
        for number, path in zip(numbers, paths, strict=True):
            (folder / path).parent.mkdir(parents=True)
            (folder / path).write_bytes(b"" if number == 3 else jpeg(number % 5, 60, 50))
        write_csv(folder / f"{split}.csv", [row(path) for path in paths])
    return ReadOnce(folder)


def one_build(source: Chexpert, out: Path) -> None:
    build(out, source, OPTIONS, Execution(workers=1, max_rejected=0.5))


def one_array(source: Chexpert, out: Path) -> None:
    for index in (1, 0, 1):
        build_part(out, source, OPTIONS, Task(index, 2), Execution(workers=1, max_rejected=0.5))
    finish(out)


@pytest.mark.parametrize(
    ("run", "kind", "step"), [(one_build, "no space left", 1), (one_build, "killed", 1), (one_array, "killed", 5)]
)
def test_whatever_operation_fails_no_half_file_is_left_and_the_next_run_ends_with_the_undisturbed_bytes(
    source: Chexpert, tmp_path: Path, faults: Faults, run: Callable[[Chexpert, Path], None], kind: str, step: int
) -> None:
    run(source, tmp_path / "undisturbed")
    operations, expected = faults.done, tree(tmp_path / "undisturbed")
    assert operations > 40
    if kind == "killed":
        faults.error = Killed
    out = tmp_path / "out"
    for number in range(1, operations + 1, step):
        faults.done, faults.at = 0, number
        with pytest.raises((DatasetError, Killed)) as caught:
            run(source, out)
        there = {name: content for name, content in tree(out).items() if name in expected}
        assert there.items() <= expected.items()
        if kind == "no space left":
            assert "No space left on device" in str(caught.value)
            assert not list(out.glob(".*.tmp"))
        faults.at = 0
        run(source, out)
        assert tree(out) == expected, f"operation {number} of {operations}"
        shutil.rmtree(out)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small tmpfs")
def test_a_file_system_that_is_really_full_is_survived(source: Chexpert, tmp_path: Path) -> None:
    one_build(source, tmp_path / "undisturbed")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        with pytest.raises(DatasetError, match="No space left on device"):
            one_build(source, small / "out")
        for size in range(64, 1024, 32):
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(small)], check=True)
            try:
                one_build(source, small / "out")
                break
            except DatasetError as error:
                assert "No space left on device" in str(error)  # noqa: PT017 - it may also succeed
        assert tree(small / "out") == tree(tmp_path / "undisturbed")
    finally:
        subprocess.run(["umount", str(small)], check=True)
