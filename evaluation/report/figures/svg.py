"""Turn a figure into an SVG element for a page, and into files for a paper, the same bytes for the same figure.

The SVG loads nothing: no font, no style sheet, no script.
"""

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from evaluation.report.figures.style import RC
from shards.durable import write_atomically

FORMATS = ("svg", "png", "pdf")
_DOTS_PER_INCH = 300


def figure_svg(figure: Figure, identity: str, title: str) -> str:
    """The figure as an SVG element whose ids begin with `identity`."""
    buffer = io.StringIO()
    with _drawing(identity):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
    text = buffer.getvalue()
    text = f'<svg role="img" aria-label="{html.escape(title)}"' + text[text.index("<svg") + 4 :].rstrip()
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)  # a style here would be the page's
    text = re.sub(r'\bid="', f'id="{identity}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{identity}-", text)


def write_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write `<stem>.svg`, `.png` and `.pdf`; returns the paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in FORMATS:
        path = stem.with_name(f"{stem.name}.{kind}")
        metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else None
        drawn = io.BytesIO()  # matplotlib's writers do not say why a disk took no more
        with _drawing(stem.name):
            figure.savefig(drawn, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
        with write_atomically(path) as file:
            file.write(drawn.getvalue())
        paths.append(path)
    return paths


@contextmanager
def _drawing(salt: str) -> Iterator[None]:
    """Draw with the report's settings; a name in letters that the font lacks is no reason to warn on the terminal."""
    with mpl.rc_context({**RC, "svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
