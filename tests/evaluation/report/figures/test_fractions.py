"""The paper's figure: labels that never overlap, a tick a fraction, the line of chance."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.report.figures import auroc_limits, fraction_figure, percent
from evaluation.report.figures.fractions import labelled_fractions
from evaluation.report.gains import GainRow
from evaluation.statistics.result import Value

SHENZHEN = (0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5)
CHEXPERT = (0.001, 0.01, 0.1, 0.5, 1.0)


def rows(fractions: tuple[float, ...], value: float = 0.7) -> list[GainRow]:
    return [
        GainRow("Edema", "probe", fraction, 100, 30, arms={"MoCo": Value(value, (value - 0.1, value + 0.1))})
        for fraction in fractions
    ]


def tick_boxes(svg: str) -> list[tuple[float, float, str]]:
    """Left and right end of each tick label with a percent sign, in the SVG's points, as drawn: 9 points a letter."""
    texts = re.findall(r'<text style="[^"]*text-anchor: middle[^"]*" x="([\d.]+)"[^>]*>([^<]+ %)</text>', svg)
    return sorted((float(x) - 0.28 * 9 * len(text), float(x) + 0.28 * 9 * len(text), text) for x, text in texts)


@pytest.mark.parametrize("fractions", [SHENZHEN, CHEXPERT, (0.0625,), (0.99, 1.0)])
def test_no_tick_label_overlaps_another_in_the_svg(fractions: tuple[float, ...]) -> None:
    given_rows = rows(fractions)
    limits = auroc_limits(given_rows)
    assert limits is not None
    boxes = tick_boxes(fraction_figure(given_rows, ["MoCo"], limits, "t", "i").svg)
    assert percent(fractions[-1]) in [text for *_, text in boxes]
    for (_, right, one), (left, _, two) in itertools.pairwise(boxes):
        assert right < left, f"{one} over {two}"


@given(st.lists(st.floats(0.0005, 1.0), min_size=1, max_size=12, unique=True), st.floats(1.0, 6.0))
def test_the_last_fraction_is_always_labelled_and_all_of_them_where_there_is_room(
    fractions: list[float], width: float
) -> None:
    chosen = labelled_fractions(sorted(fractions), width)
    assert max(fractions) in chosen
    assert set(chosen) <= set(fractions)
    assert labelled_fractions([0.01, 0.1, 1.0], 2.5) == [0.01, 0.1, 1.0]


@pytest.mark.parametrize(("value", "line"), [(0.65, True), (0.55, True), (0.9, False)])
def test_the_line_of_chance_is_drawn_where_it_is_near(value: float, line: bool) -> None:
    given_rows = rows(CHEXPERT, value)
    limits = auroc_limits(given_rows)
    assert limits is not None
    assert ("chance" in fraction_figure(given_rows, ["MoCo"], limits, "t", "i").svg) == line
