"""The forest plot: a line a row, its draws as points, hollow where it is weak, its names cut to their column."""

import re

import numpy as np

from evaluation.report.figures import Forest, ForestGroup, ForestRow, forest_drawing, forest_figure

ROWS = (
    ForestRow("5 %", 0.02, (-0.01, 0.05), "+0.020 (−0.010, +0.050)", draws=(0.0, 0.04, 0.02)),
    ForestRow("100 %", None, None, "undefined"),
)
WEAK = ForestRow("x" * 300, 0.5, None, "+0.500", weak=True)
FOREST = Forest("difference in AUROC", (ForestGroup("fine-tuned", ROWS), ForestGroup("", (WEAK,))))


def test_the_draws_of_a_row_are_points_of_their_own() -> None:
    axes = forest_drawing(FOREST).axes[0]
    draws = [np.asarray(line.get_xdata()) for line in axes.lines if str(line.get_gid()).startswith("draws")]
    assert [list(points) for points in draws if len(points)] == [[0.0, 0.04, 0.02]]


def test_headings_and_rows_stand_from_top_to_bottom_and_no_line_is_above_or_below_the_plot() -> None:
    assert [line if isinstance(line, str) else line.name[:5] for line in FOREST.lines] == [
        "fine-tuned", "5 %", "100 %", "xxxxx",
    ]  # fmt: skip
    axes = forest_drawing(FOREST).axes[0]
    assert axes.get_ylim() == (3.65, -0.5)
    marks = [line for line in axes.lines if line.get_marker() == "s"]
    assert [float(np.asarray(line.get_ydata())[0]) for line in marks] == [1, 3]  # an undefined value has no mark


def test_a_weak_row_is_hollow_and_a_long_name_is_cut_in_its_middle() -> None:
    axes = forest_drawing(FOREST).axes[0]
    faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "s"]
    assert faces == ["#0072B2", "white"]
    svg = forest_figure(FOREST, "t", "i").svg
    assert re.findall(r">(x+…x+)<", svg) == ["x" * 13 + "…" + "x" * 12]


def test_everything_that_is_drawn_is_within_the_limits() -> None:
    low, high = forest_drawing(FOREST).axes[0].get_xlim()
    assert low < -0.01
    assert high > 0.5


def test_long_words_below_the_axis_are_within_the_figure() -> None:
    figure = forest_drawing(Forest("difference in AUROC, " + "x" * 39, (ForestGroup("", ROWS),)))
    label, whole = figure.axes[0].xaxis.label.get_window_extent(), figure.bbox
    assert whole.x0 <= label.x0
    assert label.x1 <= whole.x1
