import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from ingest.archives.chexpert import Chexpert
from ingest.build.dataset_build import Execution, build
from ingest.build.duplicates import Counts
from ingest.build.header import Options
from ingest.cli.main import main
from ingest.inspection.histograms import gray_levels, plot
from ingest.inspection.info import overview
from ingest.inspection.info_text import as_text
from ingest.inspection.storage_order import Mixing, mixing
from shards import open_dataset
from tests.ingest.archives.layouts import write_chexpert

PAGE = Path(__file__).parents[3] / "docs" / "info-json.md"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with one rejected image and two duplicates that are dropped."""
    folder = tmp_path_factory.mktemp("built")
    write_chexpert(folder / "source")
    train = folder / "source" / "train"
    (train / "patient00003/study1/view1_frontal.jpg").write_bytes(b"")
    for patient in ("patient00006", "patient00012"):
        shutil.copy(train / "patient00000/study1/view1_frontal.jpg", train / patient / "study1/view1_frontal.jpg")
    options = Options("chexpert", 48, 10, 0, 0.0, 0.0, drop_duplicates=True)
    build(folder / "out", Chexpert(folder / "source"), options, Execution(workers=1, max_rejected=0.1))
    return folder / "out"


def in_order(count: int, patients: int = 7) -> pd.DataFrame:
    numbers = range(count)
    return pd.DataFrame(
        {
            "source_path": [f"patient{number // patients:05d}/view{number:05d}.jpg" for number in numbers],
            "patient_id": [f"patient{number // patients:05d}" for number in numbers],
        }
    )


def test_the_sources_own_order_scores_nothing_and_a_shuffle_one() -> None:
    rows = in_order(3000)
    own = mixing(rows)
    assert own.score == pytest.approx(3 / 3001, abs=1e-3)
    assert own.correlation == pytest.approx(1)
    assert own.same_patient_neighbours == 6 * 428 + 3  # 428 patients of seven images, one of four
    shuffled = mixing(rows.iloc[np.random.default_rng(0).permutation(3000)])
    assert shuffled.score == pytest.approx(1, abs=0.05)
    assert shuffled.correlation == pytest.approx(0, abs=0.06)
    assert shuffled.same_patient_neighbours == pytest.approx(shuffled.expected, abs=10)
    assert shuffled.expected == pytest.approx(6, abs=0.1)


def test_blocks_and_buffers_that_only_look_shuffled_score_little() -> None:
    rows = in_order(4096)
    generator = np.random.default_rng(0)
    blocks = np.concatenate([np.arange(start, start + 64) for start in generator.permutation(64) * 64])
    assert (mixing(rows.iloc[blocks]).score or 1) < 0.05
    pending, buffered = list(range(4096)), []
    while pending:
        buffered.append(pending.pop(int(generator.integers(min(256, len(pending))))))
    assert (mixing(rows.iloc[buffered]).score or 1) < 0.5


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples_have_no_score(count: int) -> None:
    assert mixing(in_order(count)) == Mixing(None, None, 0, 0.0)


def test_hashed_identifiers_leave_the_neighbours_only() -> None:
    rows = in_order(20).assign(source_path=None)
    assert mixing(rows).score is None
    assert mixing(rows).same_patient_neighbours > 0


def leaves(value: dict[str, Any], prefix: str = "") -> set[str]:
    """Paths of nested JSON down to what is no object, `parent.child`."""
    found = set()
    for key, child in value.items():
        found |= leaves(child, f"{prefix}{key}.") if isinstance(child, dict) else {prefix + key}
    return found


def test_the_page_names_every_key_of_the_json_and_no_other(built: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(built), "--json"])
    found = leaves(json.loads(result.stdout))
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
    assert len(documented) > 30
    pattern = {key: re.compile(re.sub(r"<[^>]+>", ".+", key.replace(".", r"\."))) for key in documented}
    assert [key for key in found if not any(one.fullmatch(key) for one in pattern.values())] == []
    assert [key for key, one in pattern.items() if not any(one.fullmatch(name) for name in found)] == []


def test_duplicates_and_exclusions_are_counted(built: Path) -> None:
    summary = overview(open_dataset(built))
    assert summary.excluded == 2
    assert summary.exclusions == {"duplicate": {"train": 2, "valid": 0, "test": 0}}
    assert summary.duplicates == Counts(2, 1, within_a_patient=0, across_patients=1, across_splits=0)
    text = as_text(summary)
    assert "Excluded from every subset: 2\n  2 duplicate\n" in text
    assert "groups of equal images: 1" in text
    assert "mixing score" in text


def test_a_dataset_without_a_list_of_duplicates_says_so(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "older")
    (tmp_path / "older" / "duplicates.csv").unlink()
    summary = overview(open_dataset(tmp_path / "older"))
    assert summary.duplicates is None
    assert "not looked for" in as_text(summary)


def test_preview_draws_histograms_beside_the_sheet(built: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["preview", str(built), str(tmp_path / "sheet.png"), "--count", "4"])
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "sheet-histograms.png").size[0] > 1000


def test_a_bar_is_as_high_as_its_share() -> None:
    image = np.repeat(np.array([10, 10, 10, 200], dtype=np.uint8), 64).reshape(16, 16)
    counts = gray_levels(image)
    assert counts[10] == 192
    assert counts[200] == 64
    drawn = plot(counts, np.ones(256, dtype=np.int64), top=1.0)
    assert (drawn[:240, 10] < 200).sum() == pytest.approx(192 - 16, abs=2)
    assert (drawn[:240, 200] < 200).sum() == pytest.approx(64 - 16, abs=2)
    assert (drawn[:240, 100] == 255).all()
