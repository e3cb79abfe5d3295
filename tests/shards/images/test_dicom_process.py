"""The process that decodes compressed DICOM pictures: how it is watched, limited and ended."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from shards.errors import DatasetError
from shards.images import dicom_process
from shards.images.shard_image import ingest_image
from shards.images.unusable_image import MAX_PIXELS, UnusableImage
from tests.ingest.archives.layouts import picture
from tests.shards.images.test_dicom import COMPRESSED, compressed, dicom
from tests.shards.processes import assert_ends_with_its_parent

IMAGE = picture(3, 40, 30)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("compressed")
    return compressed(dicom(IMAGE), COMPRESSED["JPEG 2000"], folder, "MONOCHROME2")


def kill(how: signal.Signals) -> None:
    child = dicom_process._child(MAX_PIXELS)
    os.kill(child.pid, how)
    child.wait()


def test_one_process_serves_all_files(content: bytes) -> None:
    first = dicom_process.read_dicom_apart(content, MAX_PIXELS)
    process = dicom_process._child(MAX_PIXELS).pid
    np.testing.assert_array_equal(first, IMAGE)
    np.testing.assert_array_equal(dicom_process.read_dicom_apart(content, MAX_PIXELS), IMAGE)
    assert dicom_process._child(MAX_PIXELS).pid == process


@pytest.mark.parametrize("fault", [signal.SIGABRT, signal.SIGSEGV])
def test_a_file_over_which_the_decoder_falls_is_named_and_the_next_one_is_read(
    content: bytes, fault: signal.Signals
) -> None:
    kill(fault)
    with pytest.raises(UnusableImage, match=f"a DICOM file that ended its decoder \\({fault.name}\\)"):
        ingest_image(content, None, MAX_PIXELS)
    assert ingest_image(content, None, MAX_PIXELS).height == 40


def test_a_decoder_that_has_ended_leaves_no_open_file(content: bytes) -> None:
    dicom_process.read_dicom_apart(content, MAX_PIXELS)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        kill(signal.SIGSEGV)
        with pytest.raises(UnusableImage, match="SIGSEGV"):
            dicom_process.read_dicom_apart(content, MAX_PIXELS)
        dicom_process.read_dicom_apart(content, MAX_PIXELS)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_decoder_that_was_killed_from_without_rejects_no_file(content: bytes) -> None:
    kill(signal.SIGKILL)
    with pytest.raises(DatasetError, match="Run the same command again"):
        dicom_process.read_dicom_apart(content, MAX_PIXELS)
    np.testing.assert_array_equal(dicom_process.read_dicom_apart(content, MAX_PIXELS), IMAGE)


def test_a_reason_comes_back_as_it_was_given() -> None:
    with pytest.raises(UnusableImage, match="a DICOM file that cannot be decoded"):
        dicom_process.read_dicom_apart(b"no DICOM", MAX_PIXELS)


def test_its_memory_is_limited(content: bytes) -> None:
    dicom_process.read_dicom_apart(content, MAX_PIXELS)
    limits = Path(f"/proc/{dicom_process._child(MAX_PIXELS).pid}/limits")
    if not limits.is_file():
        pytest.skip("no /proc here: the system does not tell of limits")
    (line,) = [line for line in limits.read_text().splitlines() if line.startswith("Max address space")]
    assert int(line.split()[3]) < 40 << 30


def test_it_ends_with_its_parent_however_that_ends() -> None:
    code = "from shards.images.dicom_process import _child; print(_child(9).pid, flush=True); input()"
    assert_ends_with_its_parent(code)
