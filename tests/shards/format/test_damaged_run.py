"""From a damaged shard to a run without the damaged sample: what the error says to do is what helps."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.cli.main import main
from shards.errors import CorruptShardError
from shards.format.dataset import open_dataset
from shards.format.quarantine import QUARANTINE
from shards.format.subsets import select
from tests.shards.loading.test_loaders import ids_of, two_views
from tests.shards.small_datasets import jpeg_of, smooth_image, write_small_dataset

NUMBER = 3
"""Of the sample that is damaged."""


@pytest.fixture(params=["bits", "stored"])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A dataset with a bit flipped in one image, or with one that was stored broken."""
    root = tmp_path / "damaged"
    if request.param == "stored":
        return write_small_dataset(root, jpegs={NUMBER: jpeg_of(smooth_image(50, 50, seed=1))[:20]})
    dataset = open_dataset(write_small_dataset(root))
    path, content = dataset.shard_path("train-000000"), bytearray()
    content += path.read_bytes()
    content[int(dataset.samples["offset"][NUMBER] + dataset.samples["bytes"][NUMBER]) - 60] ^= 1
    path.write_bytes(content)
    return root


def cxr_ingest(command: str) -> Result:
    program, *words = command.split()
    assert program == "cxr-ingest"
    return CliRunner().invoke(main, words, catch_exceptions=False)


def test_the_command_that_the_error_names_lets_the_run_go_on(damaged: Path) -> None:
    key = open_dataset(damaged).samples["key"][NUMBER]
    with pytest.raises(CorruptShardError, match=rf"train-000000\.tar.* {key}|{key}.*train-000000\.tar") as caught:
        list(two_views(open_dataset(damaged)))
    (command,) = re.findall(r"`(cxr-ingest verify .* --quarantine)`", str(caught.value))
    result = cxr_ingest(command)
    assert result.exit_code == 0, result.output
    assert key in result.output
    assert str(damaged / QUARANTINE) in result.output
    dataset = open_dataset(damaged)
    assert list(dataset.quarantine) == [key]
    kept = set(select(dataset, "train")["sample_id"])
    assert len(kept) == 16
    assert set(ids_of(list(two_views(dataset))).ravel()) == kept


def test_verify_counts_what_is_quarantined_no_more_and_what_is_new_again(damaged: Path) -> None:
    assert cxr_ingest(f"cxr-ingest verify {damaged} --decode").exit_code == 1
    assert cxr_ingest(f"cxr-ingest verify {damaged} --decode --quarantine").exit_code == 0
    again = cxr_ingest(f"cxr-ingest verify {damaged} --decode")
    assert again.exit_code == 0
    assert "1 samples quarantined, all else as written" in again.output
    (damaged / "train-000001.idx").unlink()
    worse = cxr_ingest(f"cxr-ingest verify {damaged} --decode --quarantine")
    assert worse.exit_code == 1
    assert "1 findings" in worse.output


def test_a_shard_that_is_copied_again_needs_its_quarantine_removed_and_nothing_else(tmp_path: Path) -> None:
    whole = write_small_dataset(tmp_path / "whole")
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    content = bytearray((copy / "train-000000.tar").read_bytes())
    content[int(open_dataset(whole).samples["offset"][0]) + 9] ^= 1
    (copy / "train-000000.tar").write_bytes(content)
    cxr_ingest(f"cxr-ingest verify {copy} --quarantine")
    shutil.copy(whole / "train-000000.tar", copy)
    (copy / QUARANTINE).unlink()
    assert cxr_ingest(f"cxr-ingest verify {copy} --decode").exit_code == 0
    assert len(select(open_dataset(copy), "train")) == 17
