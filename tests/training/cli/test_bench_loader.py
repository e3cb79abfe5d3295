"""cxr-train bench-loader: figures of the loader, its limit and reading alone, as a table and as JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.shards.small_datasets import write_small_dataset
from training.cli.main import main


def test_the_figures_hold_together_and_the_table_shows_what_the_file_says(tmp_path: Path) -> None:
    root, file = write_small_dataset(tmp_path / "small"), tmp_path / "speed.json"
    words = ["bench-loader", "--shards", str(root), "--image-size", "40", "--batch-size", "4", "--device", "cpu"]
    words += ["--threads", "1", "--seconds", "0.2", "--rounds", "2", "--json", str(file)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0
    told = json.loads(file.read_text())
    sides = {side["name"]: side for side in told["sides"]}
    loader, limit, reading = sides.values()
    assert told["share_of_limit"] == pytest.approx(loader["images_per_second"] / limit["images_per_second"])
    assert reading["images_per_second"] > limit["images_per_second"]  # 2 KB are read sooner than they are decoded
    for name, side in sides.items():
        assert side["spread"][0] <= side["images_per_second"] <= side["spread"][1]
        assert 0 < side["cpu_ms"] < 1000
        assert f"{side['images_per_second']:,.0f}" in next(li for li in result.output.splitlines() if name in li)
    assert f"fraction of the limit: {told['share_of_limit']:.2f}" in result.output


def test_views_with_a_tone_curve_are_measured_as_the_networks_input_too(tmp_path: Path) -> None:
    root, file = write_small_dataset(tmp_path / "small"), tmp_path / "speed.json"
    words = ["bench-loader", "--shards", str(root), "--image-size", "40", "--batch-size", "4", "--device", "cpu"]
    words += ["--threads", "1", "--seconds", "0.1", "--rounds", "1", "--json", str(file)]
    words += ["--gamma", "0.8", "1.25", "--offset", "-10", "10", "--crop-area", "0.3", "1"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0
    loader, _, _, as_input = (side["images_per_second"] for side in json.loads(file.read_text())["sides"])
    assert 0 < as_input < 2 * loader
    assert "two views as the network's input" in result.output


def test_too_few_images_for_a_batch_are_refused(tmp_path: Path) -> None:
    root = write_small_dataset(tmp_path / "small")
    result = CliRunner().invoke(main, ["bench-loader", "--shards", str(root), "--device", "cpu"])
    assert result.exit_code == 1
    assert "17 samples to train on, fewer than a batch of 64" in result.output
