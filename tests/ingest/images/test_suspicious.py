"""Images that show little are counted and named, wherever their gray levels were lost."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from ingest.cli.main import main
from ingest.images.suspicious import suspect
from shards.images.shard_image import ingest_image
from shards.images.unusable_image import MAX_PIXELS
from tests.ingest.archives.layouts import picture, write_shenzhen
from tests.ingest.images.test_png_range import deep_picture, encoded


def histogram(**counts: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """counts: of gray levels, g<level>=pixels."""
    found = np.zeros(256, dtype=np.int64)
    for level, count in counts.items():
        found[int(level[1:])] = count
    return found


def build(source: Path, out: Path, *words: str) -> Result:
    command = ["build-shards", str(source), str(out), "--dataset", "shenzhen", "--name", "deep", "--workers", "1"]
    return CliRunner().invoke(main, [*command, "--png-range", "16", *words])


@pytest.mark.parametrize(("levels", "suspicious"), [(31, True), (32, False)])
def test_fewer_than_32_levels_are_suspicious(levels: int, suspicious: bool) -> None:
    found = np.zeros(256, dtype=np.int64)
    found[:levels] = 10
    assert (suspect("k", "p", found, levels) is not None) == suspicious


@pytest.mark.parametrize(("black", "suspicious"), [(100, False), (101, True)])
def test_over_half_of_the_pixels_at_one_level_are_suspicious(black: int, suspicious: bool) -> None:
    found = np.zeros(256, dtype=np.int64)
    found[0], found[100:200] = black, 1
    one = suspect("k", None, found, 101)
    assert (one is not None) == suspicious
    if one is not None:
        assert one.reason == "50% of the pixels at gray level 0"
        assert one.path == ""


def test_both_reasons_are_named() -> None:
    one = suspect("k", "p", histogram(g3=90, g7=10), 2)
    assert one is not None
    assert one.reason == "2 gray levels, fewer than 32; 90% of the pixels at gray level 3"


def test_levels_that_the_encoder_adds_do_not_hide_a_picture_of_few() -> None:
    coarse = (picture(1, 120, 130) // 16 * 16).astype(np.uint8)
    image = ingest_image(cv2.imencode(".png", coarse)[1].tobytes(), None, MAX_PIXELS)
    assert np.count_nonzero(image.histogram) > 32
    assert image.levels == np.unique(coarse).size
    assert suspect("k", "p", image.histogram, image.levels) is not None


def test_a_build_names_the_first_five_in_its_last_line_and_all_in_a_table(tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "source", 12)
    files = sorted((tmp_path / "source" / "ChinaSet_AllFiles" / "CXR_png").glob("CHN*.png"))
    for number, file in enumerate(files[:7]):
        file.write_bytes(encoded(deep_picture(number, 11)))  # of 16 bits: 8 gray levels are left
    out = tmp_path / "out"
    result = build(tmp_path / "source", out)
    assert result.exit_code == 0, result.output
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("Suspicious: 7 with fewer than 32 gray levels")
    assert [file.name in last for file in files[:7]] == [True] * 5 + [False] * 2
    with (out / "suspicious.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["path"].endswith(file.name) for row, file in zip(rows, files, strict=False)] == [True] * 7
    assert all(int(row["levels"]) < 32 for row in rows)
    told = CliRunner().invoke(main, ["info", str(out)]).output
    assert last in told
    summary = json.loads(CliRunner().invoke(main, ["info", str(out), "--json"]).stdout)["suspicious"]
    assert summary == {"images": 7, "first": [row["path"] for row in rows[:5]]}


def test_a_dataset_of_an_older_release_was_not_looked_at(tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "source", 6)
    out = tmp_path / "out"
    assert "Suspicious" not in build(tmp_path / "source", out).output
    assert "Suspicious: 0" in CliRunner().invoke(main, ["info", str(out)]).output
    (out / "suspicious.csv").unlink()
    assert "Suspicious: not looked for" in CliRunner().invoke(main, ["info", str(out)]).output


def test_hashed_identifiers_name_the_hash_and_no_path(tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "source", 6)
    file = next((tmp_path / "source" / "ChinaSet_AllFiles" / "CXR_png").glob("CHN*.png"))
    file.write_bytes(encoded(deep_picture(1, 10)))
    (tmp_path / "salt").write_bytes(bytes(range(32)))
    result = build(tmp_path / "source", tmp_path / "out", "--hash-identifiers", str(tmp_path / "salt"))
    assert result.exit_code == 0, result.output
    assert "CHNCXR" not in (tmp_path / "out" / "suspicious.csv").read_text()
    assert "CHNCXR" not in result.output.strip().splitlines()[-1]
