"""ROC and precision-recall figures: bands, the areas in the legend, readers with their intervals, long names."""

import numpy as np
import pytest
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from evaluation.curves.content import ArmCurves, Band, LabelCurves, Rate, ReaderPoint
from evaluation.report.figures import PR, ROC, CurvesOfLabel, curves_drawing, operating_figure

GRID = (0.0, 0.5, 1.0)
BAND = Band(0.8125, (0.4, 0.8, 1.0), (0.2, 0.6, 1.0), (0.6, 0.9, 1.0))
READER = ReaderPoint(20, 30, Rate(0.75, (0.6, 0.85)), Rate(0.9, (0.8, 0.95)), 0.7)


def curves(readers: dict[str, ReaderPoint], band: Band = BAND) -> CurvesOfLabel:
    arms = {"model": ArmCurves(band, band), "baseline": ArmCurves(None, None)}
    return CurvesOfLabel("Edema", LabelCurves(50, 20, 30, arms, readers), GRID, {"model": "MoCo", "baseline": "Random"})


def points(line: Line2D) -> NDArray[np.float64]:
    """x, then y of a line."""
    return np.concatenate([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)])


def test_a_reader_stands_at_his_sensitivity_and_specificity_with_both_intervals() -> None:
    axes = curves_drawing([curves({"Dr A": READER})], ROC).axes[0]
    marks = {line.get_label(): line for line in axes.lines}
    assert points(marks["Dr A"]) == pytest.approx([0.1, 0.75])
    lines = [points(line) for line in axes.lines if len(points(line)) == 4]
    assert any(line == pytest.approx([0.2, 0.05, 0.75, 0.75]) for line in lines)
    assert any(line == pytest.approx([0.1, 0.1, 0.6, 0.85]) for line in lines)
    recall = curves_drawing([curves({"Dr A": READER})], PR).axes[0]
    marks = {line.get_label(): line for line in recall.lines}
    assert list(points(marks["Dr A"])) == [0.75, 0.7]


def test_the_legend_names_the_arm_with_its_area_and_an_arm_without_a_curve_is_not_in_it() -> None:
    svg = operating_figure(curves({}), ROC, "i").svg
    assert "MoCo, 0.81" in svg
    assert "Random" not in svg


@pytest.mark.parametrize(("kind", "chance"), [(ROC, [0, 1]), (PR, [0.4, 0.4])])
def test_the_line_of_chance_is_the_diagonal_or_the_prevalence(kind: str, chance: list[float]) -> None:
    axes = curves_drawing([curves({})], ROC if kind == "roc" else PR).axes[0]
    (line,) = [line for line in axes.lines if line.get_gid() == "chance"]
    assert list(points(line)[2:]) == chance


def test_a_curve_without_a_band_and_a_reader_who_read_one_class_are_drawn_as_far_as_they_go() -> None:
    bare = curves({"A": ReaderPoint(5, 0, Rate(1.0), Rate(None), None)}, Band(0.8, (0.4, 0.8, 1.0)))
    for kind in (ROC, PR):
        assert "band" not in operating_figure(bare, kind, "i").svg


def test_a_sheet_has_a_panel_a_label() -> None:
    assert len(curves_drawing([curves({"x" * 300: READER})] * 5, ROC).axes) == 5
