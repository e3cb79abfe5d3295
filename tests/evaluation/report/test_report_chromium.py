"""The report as a browser shows it: something is drawn, and nothing sticks out sideways on a phone or a desk."""

import html
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.chromium

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_FRAME = """<!DOCTYPE html><body style="margin:0"><iframe style="border:0;width:{width}px;height:{height}px"
 srcdoc="{page}"></iframe><p id="measured"></p><script>
window.onload = () => {{
  const root = document.querySelector("iframe").contentDocument.documentElement;
  document.getElementById("measured").textContent = `${{root.scrollWidth}} of ${{root.clientWidth}}`;
}};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """A Chromium to run, or a skip that says so (a failure in CI)."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    return found


def browse(chromium: str, page: Path, *flags: str) -> str:
    """Run a fresh browser on a page; what it prints."""
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, *_FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout


def framed(report: Path, folder: Path, width: int, height: int) -> Path:
    """The report in a frame of a given width: a window of its own cannot be made narrower than 500 pixels."""
    page = folder / f"frame{width}.html"
    content = html.escape(report.read_text(encoding="utf-8"))
    page.write_text(_FRAME.format(width=width, height=height, page=content), encoding="utf-8")
    return page


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_wider_than_the_screen(chromium: str, report_file: Path, tmp_path: Path, width: int) -> None:
    dumped = browse(chromium, framed(report_file, tmp_path, width, 900), "--window-size=1400,1000", "--dump-dom")
    measured = re.search(r'<p id="measured">(\d+) of (\d+)</p>', dumped)
    assert measured is not None
    assert measured[1] == measured[2] == str(width)


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_is_drawn_from_top_to_bottom(chromium: str, report_file: Path, tmp_path: Path, width: int) -> None:
    height = 3000
    picture = tmp_path / "report.png"
    page = framed(report_file, tmp_path, width, height)
    browse(chromium, page, f"--window-size={max(width, 500)},{height}", f"--screenshot={picture}")
    gray = np.asarray(Image.open(picture).convert("L"))[:, :width]
    for band in np.array_split(gray, 6):
        inked = (band < 200).mean()
        assert 0.002 < inked < 0.5
    colours = Image.open(picture).convert("RGB").getcolors(2**24)
    assert colours is not None
    assert {(0, 114, 178), (213, 94, 0)} <= {colour for _, colour in colours}  # the lines of both arms
