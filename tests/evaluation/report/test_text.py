"""Numbers and facts in words."""

import pytest

from evaluation.report.records import run_config
from evaluation.report.text import duration, few_of, p_value_text, settings, span
from shards.json_value import JsonValue


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")],
)
def test_durations_are_said_as_people_do(seconds: float, spelled: str) -> None:
    assert duration(seconds) == spelled


def test_settings_name_no_path() -> None:
    config = {"shards": ["/x/y"], "output": "/x", "init": "/home/someone/weights.pth", "steps": [12, 18], "cap": None}
    assert settings(run_config(JsonValue(config))) == [("init", "weights.pth"), ("steps", "12, 18")]


@pytest.mark.parametrize(("p_value", "spelled"), [(None, ""), (0.0004, "< 0.001"), (0.0249, "0.025"), (1.0, "1.000")])
def test_p_values_have_three_decimals(p_value: float | None, spelled: str) -> None:
    assert p_value_text(p_value) == spelled


@pytest.mark.parametrize(("values", "spelled"), [([], ""), ([1200, 1200], "1,200"), ([5, 1200, 7], "5 to 1,200")])
def test_a_span_is_one_number_where_all_are_equal(values: list[int], spelled: str) -> None:
    assert span(values) == spelled


@pytest.mark.parametrize(("names", "spelled"), [("ab", "a and b"), ("aba", "a and b"), ("abcd", "a and 3 more")])
def test_many_names_are_counted_each_once(names: str, spelled: str) -> None:
    assert few_of(names) == spelled
