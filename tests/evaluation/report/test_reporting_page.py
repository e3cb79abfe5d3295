"""docs/reporting.md names every section of the page, and every item of TRIPOD+AI and of CLAIM."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reporting.md").read_text(encoding="utf-8")


def items(checklist: str) -> set[int]:
    """Numbers of the items in the table below a heading."""
    table = PAGE.split(f"\n## {checklist}\n")[1].split("\n## ")[0]
    first = re.findall(r"^\| ([\d, abcdefg]+) \|", table, re.MULTILINE)
    return {int(number) for cell in first for number in re.findall(r"\d+", cell)}


def test_every_section_of_the_page_is_explained(report_file: Path) -> None:
    sections = re.findall(r"<h2>([^<]+)</h2>", report_file.read_text(encoding="utf-8"))
    assert len(sections) >= 8
    explained = " ".join(re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE))
    assert [name for name in sections if name not in explained] == []


@pytest.mark.parametrize(("checklist", "count"), [("TRIPOD+AI", 27), ("CLAIM", 44)])
def test_every_item_of_a_checklist_is_there(checklist: str, count: int) -> None:
    assert items(checklist) == set(range(1, count + 1))


def test_what_only_authors_know_is_said_to_be_theirs() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("|")]
    for topic in ("ethics", "funding", "registration", "dates of the data", "involvement of patients"):
        of_topic = [cells for cells in rows if topic in cells[2]]
        assert of_topic
        assert all("authors" in cells[3] for cells in of_topic)
