"""A headless Chromium for the tests of the page: what it prints, what it measures, what axe-core finds."""

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

AXE = Path(os.environ.get("AXE_CORE", "/usr/local/share/axe-core/axe.min.js"))
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
_FRAME = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:{height}px" srcdoc="{page}"></iframe><pre id="measured"></pre><script>
window.onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  document.getElementById("measured").textContent = JSON.stringify(({measure})(page));
}};
</script>"""
_AXE_RUN = """<pre id="measured"></pre><script>{axe}</script><script>
axe.run(document.querySelector("main").parentElement, {{resultTypes: ["violations"]}}).then(found => {{
  const told = found.violations.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 300))]);
  document.getElementById("measured").textContent = JSON.stringify(told);
}});
</script>"""


def find_chromium() -> str:
    """A Chromium to run, or a skip that says so (a failure in CI)."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    return found


def browse(chromium: str, page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh browser on a page."""
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, *_FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


def framed(report: Path, folder: Path, size: tuple[int, int], measure: str = "page => null") -> Path:
    """The report in a frame of a given size: a window of its own cannot be made narrower than 500 pixels.

    measure: a function of JavaScript that takes the page's document.
    """
    page = folder / f"frame{size[0]}.html"
    content = html.escape(report.read_text(encoding="utf-8"))
    written = _FRAME.format(width=size[0], height=size[1], page=content, measure=measure)
    page.write_text(written, encoding="utf-8")
    return page


def measured(chromium: str, report: Path, folder: Path, width: int, measure: str) -> Any:  # noqa: ANN401 - JSON
    """What a function of JavaScript says of the page at a width."""
    page = framed(report, folder, (width, 900), measure)
    return _told(browse(chromium, page, "--window-size=1500,1000", "--dump-dom").stdout)


def violations(chromium: str, report: Path, folder: Path, width: int) -> Any:  # noqa: ANN401 - JSON
    """What axe-core finds wrong: (rule, what it says, the first elements) each. A skip without axe-core."""
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}: run scripts/install-test-packages.sh")
    page = folder / f"axe{width}.html"
    text = report.read_text(encoding="utf-8")
    opened, policy, rest = text.partition('<meta http-equiv="Content-Security-Policy"')
    assert policy  # the page allows no script, so it is lifted for this one
    script = _AXE_RUN.format(axe=AXE.read_text(encoding="utf-8"))
    page.write_text(opened + rest[rest.index(">") + 1 :].replace("</html>", f"{script}</html>"), encoding="utf-8")
    flags = (f"--window-size={width},1000", "--virtual-time-budget=60000", "--dump-dom")
    return _told(browse(chromium, page, *flags).stdout)


def _told(dumped: str) -> Any:  # noqa: ANN401 - JSON
    found = re.search(r'<pre id="measured">(.*?)</pre>', dumped, flags=re.DOTALL)
    assert found is not None
    assert found[1], "the script did not come to its end"
    return json.loads(html.unescape(found[1]))
