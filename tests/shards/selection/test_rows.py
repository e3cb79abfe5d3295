"""Rows that fulfil a condition: those whose values are known to, as a slow, obvious reference finds them too."""

import operator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import SubsetError
from shards.selection.condition import parse, text_of
from shards.selection.rows import columns_of, fulfilled

SAMPLES = pd.DataFrame(
    {
        "key": ["a", "b", "c", "d", "e"],
        "projection": ["frontal", "lateral", "frontal", None, "frontal"],
        "ap_pa": ["AP", None, "PA", None, "PA"],
        "sex": ["female", "male", None, "female", "male"],
        "age": np.array([17.5, 18, np.nan, 60.1, 90], np.float32),
        "width": np.array([10, 20, 30, 40, 50], np.int32),
        "height": np.array([50, 40, 30, 20, 10], np.int32),
        "sample_id": np.array([1, 2, 3, 4, 2**63 - 1]),
        "Pleural Effusion": np.array([1, 0, -1, np.nan, 1], np.float32),
        "Edema": np.array([np.nan, 1, 0, 0, 1], np.float32),
    }
)


def keys(condition: str) -> str:
    return "".join(SAMPLES.loc[fulfilled(parse(condition), SAMPLES), "key"])


@pytest.mark.parametrize(
    ("condition", "selected"),
    [
        ("sex == 'female' and age >= 18", "d"),
        ("sex == 'female'", "ad"),
        ("not sex == 'female'", "be"),
        ("sex != 'female'", "be"),
        ("sex is null", "c"),
        ("sex is None", "c"),
        ("sex is not null", "abde"),
        ("not sex is null", "abde"),
        ("age >= 18", "bde"),
        ("age == 60.1", "d"),
        ("not (age >= 18)", "a"),
        ("age >= 18 or age is null", "bcde"),
        ("18 <= age < 90", "bd"),
        ("not 18 <= age < 90", "ae"),
        ("ap_pa in ('AP', 'PA')", "ace"),
        ("ap_pa not in ['AP']", "ce"),
        ("ap_pa in {'PA'}", "ce"),
        ("width > height", "de"),
        ("width == height", "c"),
        ("Pleural_Effusion == -1", "c"),
        ("column['Pleural Effusion'] in (1, -1)", "ace"),
        ("Edema == 1 or Pleural_Effusion == 1", "abe"),
        ("not (Edema == 1 or Pleural_Effusion == 1)", "c"),
        ("sample_id == 9223372036854775807", "e"),
        ("age > 1000000000000000000 or key == 'b'", "b"),
        ("sex == 'female' or\n sex == 'male'", "abde"),
        ("not not sex == 'male'", "be"),
    ],
)
def test_a_condition_selects_the_rows_that_are_known_to_fulfil_it(condition: str, selected: str) -> None:
    assert keys(condition) == selected
    assert keys(text_of(parse(condition))) == selected


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("sex >= 'female'", "sex is a column of text: compare it by ==, != or in"),
        ("sex == 1", "sex is a column of text, 1 is a value of numbers"),
        ("age == '18'", "'18' is a value of text, age is a column of numbers"),
        ("sex == age", "sex is a column of text, age is a column of numbers"),
        ("sex == 'F'", "sex is female or male, never 'F'"),
        ("ap_pa in ('ap',)", "ap_pa is AP or LL or PA or RL, never 'ap'"),
        ("Age > 3", "no column Age; did you mean age[?] there are key, projection,"),
        ("Effusion == 1", "no column Effusion; .*there are key, .*Pleural Effusion"),
    ],
)
def test_a_condition_that_the_columns_cannot_have_is_refused_in_words(condition: str, said: str) -> None:
    with pytest.raises(SubsetError, match=said) as refusal:
        keys(condition)
    assert len(str(refusal.value)) < 700


def test_two_columns_of_one_spelling_are_told_apart() -> None:
    samples = pd.DataFrame({"a b": [1.0], "a-b": [0.0]})
    with pytest.raises(SubsetError, match=r"a_b may be a b or a-b: write column\['a b'\]"):
        fulfilled(parse("a_b == 1"), samples)
    assert fulfilled(parse("column['a-b'] == 0"), samples).all()


def test_the_columns_of_a_condition_are_named_once_in_their_order() -> None:
    assert columns_of(parse("age > 1 and Pleural_Effusion == 1 and age < 3 and sex is null"), SAMPLES) == [
        *("age", "Pleural Effusion", "sex"),
    ]


# A slow, obvious reference: each row alone, None for unknown.
OPERATORS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt}


def simple() -> st.SearchStrategy[Any]:
    compared = st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(OPERATORS)), st.integers(-1, 2))
    null = st.tuples(st.sampled_from("abc"), st.just("is null"))
    listed = st.tuples(st.sampled_from("abc"), st.just("in"), st.lists(st.integers(-1, 2), min_size=1, max_size=3))
    return st.one_of(compared, null, listed)


def conditions() -> st.SearchStrategy[Any]:
    return st.recursive(
        simple(),
        lambda inner: st.one_of(
            st.tuples(st.just("not"), inner),
            st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
        ),
        max_leaves=8,
    )


def spelled(condition: Any) -> str:  # noqa: ANN401
    if condition[0] == "not":
        return f"not ({spelled(condition[1])})"
    if condition[0] in ("and", "or"):
        return f" {condition[0]} ".join(f"({spelled(part)})" for part in condition[1])
    if condition[1] == "in":
        return f"{condition[0]} in ({', '.join(map(str, condition[2]))},)"
    return " ".join(map(str, condition))


def of_row(condition: Any, row: dict[str, float | None]) -> bool | None:  # noqa: ANN401
    if condition[0] == "not":
        inner = of_row(condition[1], row)
        return None if inner is None else not inner
    if condition[0] in ("and", "or"):
        parts = [of_row(part, row) for part in condition[1]]
        decisive = condition[0] == "or"
        return decisive if decisive in parts else None if None in parts else not decisive
    value = row[condition[0]]
    if condition[1] == "is null":
        return value is None
    if value is None:
        return None
    return value in condition[2] if condition[1] == "in" else bool(OPERATORS[condition[1]](value, condition[2]))


@given(conditions(), st.lists(st.tuples(*[st.sampled_from([None, -1.0, 0.0, 1.0])] * 3), min_size=1, max_size=6))
@settings(deadline=None, max_examples=300)
def test_conditions_are_answered_as_row_by_row(condition: Any, values: list[tuple[float | None, ...]]) -> None:  # noqa: ANN401
    samples = pd.DataFrame(values, columns=list("abc"), dtype=np.float32)
    rows = [dict(zip("abc", row, strict=True)) for row in values]
    expected = [of_row(condition, row) is True for row in rows]
    assert fulfilled(parse(spelled(condition)), samples).tolist() == expected
    assert fulfilled(parse(text_of(parse(spelled(condition)))), samples).tolist() == expected
