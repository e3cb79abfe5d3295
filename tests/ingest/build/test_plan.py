from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.archives.chexpert import Chexpert
from ingest.archives.shenzhen import LABEL, Shenzhen
from ingest.archives.source import open_source
from ingest.build.header import Options, differences, plan_header
from ingest.build.plan import place, read_plan, write_plan
from shards.errors import DatasetError
from shards.format.schema import text
from tests.ingest.archives.layouts import row, write_chexpert, write_csv, write_shenzhen

OPTIONS = Options("chexpert", 64, 7, 0, 0.0, 0.0)


@pytest.fixture
def source(tmp_path: Path) -> Chexpert:
    write_chexpert(tmp_path / "source")
    return Chexpert(tmp_path / "source")


def test_a_shard_holds_one_split_and_only_the_last_of_a_split_is_short(source: Chexpert) -> None:
    placed = place(source.read().samples, source, OPTIONS)
    for split in ("train", "valid"):
        *full, last = placed[placed["split"] == split].groupby("shard", sort=False).size().tolist()
        assert all(size == 7 for size in full)
        assert 1 <= last <= 7
    assert (placed["split"] == placed["shard"].str.partition("-")[0]).all()
    assert placed["split"].drop_duplicates().tolist() == ["train", "valid"]


def test_the_order_depends_on_the_seed_and_not_on_the_order_of_the_table(source: Chexpert) -> None:
    samples = source.read().samples
    placed = place(samples, source, OPTIONS)
    backwards = place(samples.iloc[::-1].reset_index(drop=True), source, OPTIONS)
    pd.testing.assert_frame_equal(placed, backwards)
    assert place(samples, source, replace(OPTIONS, seed=1))["key"].tolist() != placed["key"].tolist()


def test_storage_order_does_not_follow_the_order_of_the_table(tmp_path: Path) -> None:
    rows = [row(f"train/patient{i:05d}/study1/view1_frontal.jpg") for i in range(4000)]
    write_csv(tmp_path / "train.csv", rows)
    source = Chexpert(tmp_path)
    placed = place(source.read().samples, source, OPTIONS)
    number = placed["patient_id"].str[7:].astype(int)
    assert abs(np.corrcoef(number, np.arange(4000))[0, 1]) < 0.06  # 3.8 standard errors


def test_splits_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    write_shenzhen(tmp_path)
    source = Shenzhen(tmp_path)
    options = Options("shenzhen", 64, 7, 0, source.valid_fraction, source.test_fraction)
    placed = place(source.read().samples, source, options)
    other = place(source.read().samples, source, replace(options, seed=1))
    assert placed["key"].tolist() != other["key"].tolist()
    assert dict(zip(placed["key"], placed["split"], strict=True)) == dict(
        zip(other["key"], other["split"], strict=True)
    )
    assert placed.groupby(["split", LABEL]).size().to_dict() == {
        ("test", 0.0): 4, ("test", 1.0): 3, ("train", 0.0): 13, ("train", 1.0): 6, ("valid", 0.0): 3, ("valid", 1.0): 2,
    }  # fmt: skip


def test_a_written_plan_gives_back_every_row_and_every_rejection(source: Chexpert, tmp_path: Path) -> None:
    table = source.roots["source"] / "train.csv"
    table.write_text(table.read_text() + ",".join(row("nonsense.jpg")) + "\n1,2\n")
    found = source.read()
    plan = write_plan(tmp_path / "out", source, OPTIONS, plan_header(source, OPTIONS))
    assert plan == read_plan(tmp_path / "out")
    rows = [one for shard in plan.shards for one in plan.rows(shard)]
    assert sorted(text(one, "key") for one in rows) == sorted(found.samples["key"])
    assert plan.samples == len(rows) == plan.count(plan.shards)
    assert len(plan.rejections()) == plan.rejected == 2
    by_key = found.samples.set_index("key")
    for one in rows:
        edema = float(by_key["Edema"][text(one, "key")])
        assert one["Edema"] == (None if np.isnan(edema) else edema)


def test_a_plan_has_the_same_bytes_in_every_process(source: Chexpert, tmp_path: Path) -> None:
    plans = [
        write_plan(tmp_path / out, source, OPTIONS, plan_header(source, OPTIONS)).path.read_bytes() for out in "ab"
    ]
    assert plans[0] == plans[1]


def test_headers_differ_where_options_or_tables_do(source: Chexpert) -> None:
    header = plan_header(source, OPTIONS)
    assert differences(header.facts, plan_header(source, OPTIONS).facts) == []
    table = source.roots["source"] / "train.csv"
    table.write_text(table.read_text() + ",".join(row("train/patient99999/study1/view1_frontal.jpg")) + "\n")
    other = plan_header(source, replace(OPTIONS, seed=5, short_side=None))
    found = differences(header.facts, other.facts)
    assert "options: seed is 0 there and 5 here" in found
    assert "options: short_side is 64 there and None here" in found
    assert any(text.startswith("source_tables: train.csv is ") for text in found)
    assert len(found) == 3


def test_the_licence_is_the_datasets_own_only_under_its_own_name(source: Chexpert) -> None:
    assert OPTIONS.name == "chexpert"
    assert plan_header(source, OPTIONS).licence.startswith("not known: ")  # it only looks like CheXpert
    source.another_dataset = lambda: None  # type: ignore[method-assign]
    assert "Stanford" in plan_header(source, OPTIONS).licence
    assert "Stanford" not in plan_header(source, replace(OPTIONS, name="lookalike")).licence


def test_a_source_without_a_usable_row_is_refused_with_a_reason(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [row("x.jpg")])
    source = open_source("chexpert", tmp_path)
    with pytest.raises(DatasetError, match="unusable path"):
        write_plan(tmp_path / "out", source, OPTIONS, plan_header(source, OPTIONS))
