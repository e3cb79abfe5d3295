"""The report as a browser shows it: no label on another, no message, nothing for axe-core to find."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.report.page.render import write_report
from tests.evaluation.report.browser import browse, find_chromium, framed, measured, violations
from tests.evaluation.report.three_arms import Names, build_three_arms

pytestmark = pytest.mark.chromium

LONG = "Long" * 75  # 300 letters without a place to break
BACKWARDS = "\u202eתסנין ריאתי"  # right to left, with an override that no element may let out
WIDTHS = "page => [page.documentElement.scrollWidth, page.documentElement.clientWidth]"
BOXES = """page => [...page.querySelectorAll("svg")].map(svg => [svg.getAttribute("aria-label"),
  [...svg.querySelectorAll("text")].filter(text => text.getClientRects().length).map(text => {
    const box = text.getBoundingClientRect();
    return [text.textContent, box.left, box.top, box.right, box.bottom];
  }), (box => [box.left, box.top, box.right, box.bottom])(svg.getBoundingClientRect())])"""
TABLES = """page => [...page.querySelectorAll("table.gains")].map(table =>
  [table.parentElement.scrollWidth, table.parentElement.clientWidth])"""


@pytest.fixture(scope="module")
def chromium() -> str:
    return find_chromium()


@pytest.fixture(scope="module")
def three_arms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three arms with ordinary names."""
    folder = tmp_path_factory.mktemp("three")
    write_report(build_three_arms(folder), folder / "report.html", with_images=False)
    return folder / "report.html"


@pytest.fixture(scope="module")
def odd_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the same with names of 300 letters and names that run from right to left."""
    folder = tmp_path_factory.mktemp("odd")
    names = Names(LONG, (BACKWARDS, LONG + "2"), BACKWARDS + "3", LONG + "4", "r" * 200)
    write_report(build_three_arms(folder, names), folder / "report.html", with_images=False)
    return folder / "report.html"


@pytest.mark.parametrize("width", [400, 1200, 1400])
def test_nothing_is_wider_than_the_screen(chromium: str, report_file: Path, tmp_path: Path, width: int) -> None:
    assert measured(chromium, report_file, tmp_path, width, WIDTHS) == [width, width]


@pytest.mark.parametrize("width", [400, 1400])
def test_long_names_and_names_from_right_to_left_are_no_wider_either(
    chromium: str, odd_names: Path, tmp_path: Path, width: int
) -> None:
    assert measured(chromium, odd_names, tmp_path, width, WIDTHS) == [width, width]


def overlaps(figures: list[tuple[str, list[tuple[str, float, float, float, float]], list[float]]]) -> list[str]:
    """Pairs of texts of one figure of which one lies on the other, and texts that lie outside of their figure."""
    found = []
    for title, texts, (left, top, right, bottom) in figures:
        for number, (one, *a) in enumerate(texts):
            if a[0] < left - 40 or a[2] > right + 40 or a[1] < top - 12 or a[3] > bottom + 12:
                found.append(f"{title}: {one} is outside")
            for two, *b in texts[number + 1 :]:
                wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
                if wide > 0.5 and high > 3:  # a line box is higher than its letters
                    found.append(f"{title}: {one} / {two}")
    return found


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("page", ["report_file", "three_arms", "odd_names"])
def test_no_text_of_a_figure_lies_on_another(
    chromium: str, page: str, tmp_path: Path, width: int, request: pytest.FixtureRequest
) -> None:
    figures = measured(chromium, request.getfixturevalue(page), tmp_path, width, BOXES)
    assert len(figures) > 8
    assert sum(len(texts) for _, texts, _ in figures) > 60
    assert overlaps(figures) == []


def test_overlapping_texts_are_noticed(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<svg width="90" height="40" aria-label="f"><text x="9" y="20">one</text><text x="12" y="22">two</text></svg>'
    )
    assert overlaps(measured(chromium, page, tmp_path, 400, BOXES)) == ["f: one / two"]


def test_three_arms_fit_at_1400_and_the_difference_comes_first_at_400(
    chromium: str, three_arms: Path, tmp_path: Path
) -> None:
    assert all(inside <= there for inside, there in measured(chromium, three_arms, tmp_path, 1400, TABLES))
    first = """page => { const cell = page.querySelector("table.gains tbody td").getBoundingClientRect();
        return [cell.left, cell.right, page.querySelector("table.gains thead th:nth-child(2)").textContent]; }"""
    left, right, heading = measured(chromium, three_arms, tmp_path, 400, first)
    assert 0 < left < right <= 400
    assert "−" in heading


@pytest.mark.parametrize("page", ["report_file", "three_arms", "odd_names"])
def test_the_browser_has_nothing_to_say(chromium: str, page: str, request: pytest.FixtureRequest) -> None:
    said = browse(chromium, request.getfixturevalue(page), "--enable-logging=stderr", "--dump-dom").stderr
    assert [line for line in said.splitlines() if "CONSOLE" in line] == []


def test_a_message_of_the_browser_would_be_seen(chromium: str, report_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    text = report_file.read_text(encoding="utf-8")
    page.write_text(text.replace("</main>", "<script>let a = 1;</script></main>"), encoding="utf-8")
    said = browse(chromium, page, "--enable-logging=stderr", "--dump-dom").stderr
    assert "Content Security Policy" in said
    assert "CONSOLE" in said


@pytest.mark.parametrize("page", ["report_file", "three_arms", "odd_names"])
def test_contrast_and_tables_are_as_axe_core_wants_them(
    chromium: str, page: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert violations(chromium, request.getfixturevalue(page), tmp_path, 1400) == []


def test_a_faint_text_and_a_table_without_heads_would_be_found(
    chromium: str, report_file: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    text = report_file.read_text(encoding="utf-8").replace("--faint: #", "--faint: #ccc; --was: #")
    page.write_text(text.replace('<th scope="col"', '<th scope="left"'), encoding="utf-8")
    found = {rule for rule, *_ in violations(chromium, page, tmp_path, 1400)}
    assert found >= {"color-contrast", "scope-attr-valid"}


@pytest.mark.parametrize("page", ["report_file", "three_arms", "odd_names"])
def test_the_printed_page_has_a_head_and_a_number_on_each_sheet(
    chromium: str, page: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    printed = tmp_path / "report.pdf"
    browse(chromium, request.getfixturevalue(page), f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    try:
        text = subprocess.run(["pdftotext", "-layout", printed, "-"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("no pdftotext on this machine: run scripts/install-test-packages.sh")
    sheets = text.split("\f")[:-1]
    assert len(sheets) > 1
    for number, sheet in enumerate(sheets, start=1):
        assert "MoCo-CXR report" in sheet
        assert f"{number} / {len(sheets)}" in sheet


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_is_drawn_from_top_to_bottom(chromium: str, report_file: Path, tmp_path: Path, width: int) -> None:
    height = 3000
    picture = tmp_path / "report.png"
    page = framed(report_file, tmp_path, (width, height))
    browse(chromium, page, f"--window-size={max(width, 500)},{height}", f"--screenshot={picture}")
    gray = np.asarray(Image.open(picture).convert("L"))[:, :width]
    for band in np.array_split(gray, 6):
        inked = (band < 200).mean()
        assert 0.002 < inked < 0.5
    colours = Image.open(picture).convert("RGB").getcolors(2**24)
    assert colours is not None
    assert {(0, 114, 178), (213, 94, 0)} <= {colour for _, colour in colours}  # the lines of both arms
