"""Define how all figures of a report look: fonts, colours of arms, shortened names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

MOCO, RANDOM, IMAGENET = "MoCo", "Random", "ImageNet"
"""What an arm started from, as headings and legends name it."""

# Okabe and Ito's colours, which stay apart for all common kinds of colour blindness; marker and dash differ too.
_STYLES = {MOCO: ("#0072B2", "o", "-"), RANDOM: ("#D55E00", "s", "--"), IMAGENET: ("#009E73", "^", "-.")}
_OTHER_STYLES = (
    ("#CC79A7", "D", ":"),
    ("#56B4E9", "v", (0, (5, 1))),
    ("#000000", "P", (0, (1, 1))),
    ("#E69F00", "<", (0, (3, 1, 1, 1))),
)
INK, FAINT, REFERENCE = "#333333", "#dddddd", "#777777"
DASHED = (0, (4, 3))
"""Dashes of the lines of chance, of no difference and of perfect calibration."""

_LEGEND_POINTS = 8
_LEGEND_HANDLE = 0.36  # inches beside a name: the line, and the gap to the next column

Axis = Literal["free", "from zero", "share"]


@dataclass(frozen=True)
class Panel:
    """One figure: its title, which the page sets above it, where it may wrap, and its SVG element."""

    title: str
    svg: str


RC: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
}


def percent(share: float) -> str:
    """A share as a percentage without needless digits: 0.001 -> `0.1 %`."""
    return f"{100 * share:.4g} %"


def shortened(name: str, length: int) -> str:
    """At most `length` characters of a name, on one line: its middle gives way to an ellipsis."""
    name = " ".join(name.split())
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return f"{name[: length - 1 - end]}…{name[len(name) - end :]}"


def text_width(text: str, points: float) -> float:
    """Inches that a line takes in a wide sans-serif font (DejaVu Sans, 0.6 of its size a character), and a little."""
    return (len(text) + 1) * 0.6 * points / 72


def arm_style(name: str, names: Sequence[str]) -> tuple[str, str, Any]:
    """(colour, marker, dashes) of an arm among all arms of a figure: `moco` as MoCo; names of a user's own in order."""
    known = {start.casefold(): style for start, style in _STYLES.items()}
    if name.casefold() in known:
        return known[name.casefold()]
    others = [other for other in names if other.casefold() not in known]
    palette = (*_STYLES.values(), *_OTHER_STYLES) if len(others) == len(names) else _OTHER_STYLES
    return palette[others.index(name) % len(palette)]


def legend_above(axes: Axes, width: float) -> None:
    """Set the legend above the axes, which data fill. width: inches that it may take."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 0.99),
            ncols=_columns(names, width),
            fontsize=_LEGEND_POINTS,
            frameon=False,
            handlelength=2.0,
            handletextpad=0.5,
            columnspacing=1.0,
            labelspacing=0.25,
            borderpad=0.2,
        )


def legend_height(names: Sequence[str], width: float) -> float:
    """Inches that the legend above the axes takes."""
    return 0.04 + 0.155 * -(-len(names) // _columns(names, width)) if names else 0.0


def _columns(names: Sequence[str], width: float) -> int:
    """As many entries a row as fit: of each column the widest entry counts."""
    entries = [text_width(name, _LEGEND_POINTS) + _LEGEND_HANDLE for name in names]
    for columns in range(len(names), 1, -1):
        rows = -(-len(names) // columns)
        if sum(max(entries[start : start + rows]) for start in range(0, len(names), rows)) <= width:
            return columns
    return 1


def percent_axis(axes: Axes) -> None:
    """Write the shares of the y axis as percentages."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(round(share, 6))))
