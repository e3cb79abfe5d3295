"""Draw the report's figures with matplotlib, as inline SVG that loads nothing and as files for a paper.

The folder takes values and names, and reads no file.
"""

from evaluation.report.figures.curves import curve_figure
from evaluation.report.figures.forest import Forest, ForestGroup, ForestRow, forest_drawing, forest_figure
from evaluation.report.figures.fractions import auroc_limits, fraction_drawing, fraction_figure
from evaluation.report.figures.health import HEALTH_CURVES, health_drawing
from evaluation.report.figures.operating import PR, ROC, CurvesOfLabel, curves_drawing, operating_figure
from evaluation.report.figures.reliability import reliability_drawing, reliability_figures
from evaluation.report.figures.style import RC, Panel, percent
from evaluation.report.figures.svg import figure_svg

__all__ = [
    "HEALTH_CURVES",
    "PR",
    "RC",
    "ROC",
    "CurvesOfLabel",
    "Forest",
    "ForestGroup",
    "ForestRow",
    "Panel",
    "auroc_limits",
    "curve_figure",
    "curves_drawing",
    "figure_svg",
    "forest_drawing",
    "forest_figure",
    "fraction_drawing",
    "fraction_figure",
    "health_drawing",
    "operating_figure",
    "percent",
    "reliability_drawing",
    "reliability_figures",
]
