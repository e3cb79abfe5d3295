"""16-bit PNGs of fewer bits keep their gray levels: one range for the dataset, decided once and recorded."""

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result

from ingest.archives.padchest import Padchest
from ingest.archives.shenzhen import Shenzhen
from ingest.cli.main import main
from ingest.images.png_range import decide
from ingest.inspection.preview import read_image
from shards.format.dataset import open_dataset
from shards.format.schema import records, text, whole
from shards.images.gray import read_gray
from shards.images.png_range import fewest_bits
from shards.images.unusable_image import MAX_PIXELS, UnusableImage
from tests.ingest.archives.layouts import picture, write_shenzhen

Deep = npt.NDArray[np.uint16]


def deep_picture(seed: int, bits: int) -> Deep:
    """A picture of its own that uses that many bits of 16."""
    pixels = picture(seed, 80, 97).astype(np.float64)
    spread = (pixels - pixels.min()) / np.ptp(pixels)
    deep: Deep = np.round(spread * ((1 << bits) - 1)).astype(np.uint16)
    return deep


def encoded(pixels: Deep) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def write_deep(root: Path, bits: int, images: int = 12) -> Path:
    """A set in Shenzhen's layout whose PNGs have 16 bits, and use `bits` of them."""
    write_shenzhen(root, images)
    for number, file in enumerate(sorted((root / "ChinaSet_AllFiles" / "CXR_png").glob("CHN*.png"))):
        file.write_bytes(encoded(deep_picture(number, bits)))
    return root


def build(source: Path, out: Path, *words: str) -> Result:
    command = ["build-shards", str(source), str(out), "--dataset", "shenzhen", "--name", "deep", "--workers", "1"]
    return CliRunner().invoke(main, [*command, "--short-side", "64", *words])


def options(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "dataset.json").read_bytes())["options"]
    return found


@pytest.mark.parametrize(
    ("most", "bits"), [(0, 10), (255, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16384, 16), (65535, 16)]
)
def test_the_fewest_bits_that_hold_a_value_are_taken(most: int, bits: int) -> None:
    assert fewest_bits(most) == bits


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_auto_decides_once_for_the_dataset_and_records_it(tmp_path: Path, bits: int) -> None:
    source, out = write_deep(tmp_path / "source", bits), tmp_path / "out"
    result = build(source, out)
    assert result.exit_code == 0, result.output
    assert options(out)["png_range"] == str(bits)
    dataset = open_dataset(out)
    for row in records(dataset.samples):
        number = int(text(row, "key").split("_")[1]) - 1
        pixels = deep_picture(number, bits) / ((1 << bits) - 1) * 255
        expected = cv2.resize(pixels, (whole(row, "width"), whole(row, "height")), interpolation=cv2.INTER_AREA)
        assert np.abs(read_image(dataset, row) - expected).mean() <= 1
        assert np.unique(read_image(dataset, row)).size > 100
    assert "Suspicious" not in result.output
    assert "nothing to do" in build(source, out).output  # the decision is no option that would have to be given again


def test_a_file_beyond_the_range_is_rejected_with_its_maximum(tmp_path: Path) -> None:
    source, out = write_deep(tmp_path / "source", 12), tmp_path / "out"
    file = sorted((source / "ChinaSet_AllFiles" / "CXR_png").glob("CHN*.png"))[5]
    file.write_bytes(encoded(np.full((80, 97), 5000, dtype=np.uint16)))
    result = build(source, out, "--png-range", "12", "--max-rejected", "0.1")
    assert result.exit_code == 0, result.output
    line = (out / "rejected.csv").read_text().splitlines()[1]
    assert "beyond the range: its largest value is 5000, and white is 4095: see --png-range" in line
    assert options(out)["png_range"] == "12"
    other = build(source, out, "--png-range", "14")
    assert other.exit_code == 1
    assert "png_range is 12 there and 14 here" in other.output


def test_the_range_of_each_file_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    source, out = write_deep(tmp_path / "source", 9), tmp_path / "out"
    assert build(source, out, "--png-range", "file").exit_code == 0
    assert options(out)["png_range"] == "file"
    dataset = open_dataset(out)
    for row in records(dataset.samples):
        assert np.ptp(read_image(dataset, row)) > 240


def test_pictures_of_eight_bits_leave_no_range_in_the_description(tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "source", 12)
    assert build(tmp_path / "source", tmp_path / "out").exit_code == 0
    assert "png_range" not in options(tmp_path / "out")


def test_a_reader_that_knows_its_range_is_not_asked_twice(tmp_path: Path) -> None:
    source = Shenzhen(write_deep(tmp_path, 12))
    rows = source.read().samples
    assert decide(rows, source.roots, None, "auto", MAX_PIXELS) == "12"
    assert decide(rows, source.roots, "14", "auto", MAX_PIXELS) == "14"
    assert decide(rows, source.roots, None, "16", MAX_PIXELS) is None
    assert decide(rows, source.roots, "auto", "16", MAX_PIXELS) == "12"
    assert Padchest.png_range == "16"


def test_a_flat_file_has_no_range_of_its_own() -> None:
    assert not read_gray(encoded(np.full((20, 20), 300, dtype=np.uint16)), None, white=None).any()


def test_a_value_at_the_range_is_white_and_one_beyond_it_is_refused() -> None:
    pixels = np.array([[0, 2048, 4095]], dtype=np.uint16)
    np.testing.assert_array_equal(read_gray(encoded(pixels), None, white=4095), [[0, 128, 255]])
    with pytest.raises(UnusableImage, match="its largest value is 4095, and white is 1023"):
        read_gray(encoded(pixels), None, white=1023)
