"""docs/datasets.md speaks of every reader, and the reader that CONTRIBUTING.md shows works."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ingest.archives import source as sources
from ingest.archives.padchest import LABELS as PADCHEST_LABELS
from ingest.archives.source import VARIANTS, Source, open_source
from tests.ingest.archives.archives_made import put
from tests.ingest.archives.layouts import png, write_csv
from tests.ingest.build.promises import KINDS, hold_to_promises

ROOT = Path(__file__).parents[3]
PAGE = " ".join((ROOT / "docs" / "datasets.md").read_text(encoding="utf-8").split())


def reader_of(variant: str) -> type[Source]:
    """The class that reads a variant."""
    module, name = sources._READERS[variant].split(":")
    reader: type[Source] = getattr(importlib.import_module(module), name)
    return reader


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_page_has_the_command_and_the_licence_of_every_reader(variant: str) -> None:
    assert re.search(rf"cxr-ingest build-shards \S+ \S+ --dataset {variant}\b", PAGE)
    assert reader_of(variant).licence in PAGE


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_page_says_what_share_becomes_valid_and_test(variant: str) -> None:
    for share in (reader_of(variant).valid_fraction, reader_of(variant).test_fraction):
        assert not share or re.search(rf"\b{share * 100:g} %", PAGE)


def test_the_page_lists_padchests_columns_in_their_order() -> None:
    assert ", ".join(PADCHEST_LABELS) + "." in PAGE


def test_the_page_says_what_each_reason_means() -> None:
    table = PAGE.partition("## What is refused")[2].partition("## CheXpert")[0]
    assert [kind for kind in KINDS if not re.search(rf"\| (?:[\w ]+, )?{kind}[ ,]", table)] == []


def test_a_section_says_so_where_no_archive_was_at_hand() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    tried = re.findall(r"^\| ([^|]+) \| [^|]+ \| miniature only", text, re.MULTILINE)
    names = [name for row in tried for name in row.strip().split(", ")]
    assert len(names) == 7
    for name in names:
        assert f"\n## {name}\n\nLayout from documentation, not tried on the archive.\n" in text, name


@pytest.fixture
def hillside(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The reader that CONTRIBUTING.md shows, registered as it says."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    line = re.search(r'"(\w+)": "(ingest\.[\w.]+):(\w+)"', text)
    assert code is not None
    assert line is not None
    name, module_name, _ = line.groups()
    module = ModuleType(module_name)
    exec(compile(code[1], "CONTRIBUTING.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module_name, module)
    monkeypatch.setitem(sources._READERS, name, ":".join(line.groups()[1:]))
    return module


def test_the_reader_that_contributing_shows_reads_its_archive(hillside: ModuleType, tmp_path: Path) -> None:
    header = re.search(r"`(image,.*)`", hillside.__doc__ or "")
    assert header is not None
    rows = [
        ["1.png", "p1", "a", "M", "058Y", "PA", "1", "0"],
        ["2.png", "p1", "a", "M", "058Y", "LL", "-1", ""],
        ["1.png", "p2", "b", "female", "", "AP", "0.0", "1.0"],
    ]
    bad = [
        ["../3.png", "p3", "c", "F", "5", "PA", "0", "0"],
        ["4.png", "p4", "c", "F", "5", "PA", "2", "0"],
        ["5.png", "", "c", "F", "5", "PA", "0", "0"],
    ]
    write_csv(tmp_path / "hillside" / "labels.csv", [*rows[:2], *bad], header[1].split(","))
    for number, row in enumerate(rows):
        put(tmp_path / "hillside" / "images" / row[0], png(number, 20, 21))
    found = open_source("hillside", tmp_path).read()
    hold_to_promises(found, hillside.LABELS)
    assert found.samples["key"].tolist() == ["p1_1", "p1_2"]
    assert found.samples["Nodule"].tolist() == [1.0, -1.0]
    assert found.samples["projection"].tolist() == ["frontal", "lateral"]
    assert found.rejected["reason"].str.partition(":")[0].tolist() == [
        "path leaves the source",
        "label out of range",
        "no patient",
    ]
    write_csv(tmp_path / "hillside" / "labels.csv", rows, header[1].split(","))
    reasons = open_source("hillside", tmp_path).read().rejected["reason"]
    assert reasons.str.startswith("conflicting rows: patient_id is ").tolist() == [True, True]
