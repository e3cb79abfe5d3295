"""Conditions on rows: what is accepted, what is refused and how, and that unknown values fulfil none."""

import operator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import SubsetError
from shards.selection.condition import clauses, parse, text_of
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
        ("", "is no condition on rows"),
        ("sex = 'female'", r"Write it as in \"sex == 'female' and age >= 18\""),
        ("age", "age alone is no condition: write age == 1 for a label"),
        ("age >= 18 and Edema", "Edema alone is no condition"),
        ("True", "True is no condition"),
        ("1 == 1", "1 and 1 are both values: compare a column"),
        ("sex == null", "write `is null` or `is not null`"),
        ("sex == None", "write `is null` or `is not null`"),
        ("sex in ('female', None)", "write `is null` or `is not null`"),
        ("Edema == True", "labels are 1, 0, -1"),
        ("age is 18", "`is` compares a column with null only"),
        ("ap_pa in 'AP'", r"after `in` there are values in brackets, as in ap_pa in \('AP', 'PA'\)"),
        ("ap_pa in ()", "after `in` there are values in brackets"),
        ("ap_pa in (sex, 'AP')", "values only, not the column sex"),
        ("'AP' in (ap_pa,)", "values only|before `in` there is a column"),
        ("age + 1 > 3", "age [+] 1 is neither a column, nor a number, nor text in quotes"),
        ("age == 1e999", "larger than any value"),
        ("age == " + "9" * 400, "larger than any value"),
        ("age == 1j", "neither a column"),
        ("sex == b'male'", "neither a column"),
        ("f'{sex}' == 'male'", "neither a column"),
        ("sex.upper() == 'MALE'", "neither a column"),
        ("__import__('os').system('true')", "is no condition"),
        ("(lambda: 1)() == 1", "neither a column"),
        ("[age for age in sex] == 1", "neither a column"),
        ("(age := 3) == 3", "neither a column"),
        ("age == 1 if sex == 'male' else age == 2", "is no condition"),
        ("age == 1; sex == 'male'", "is no condition on rows"),
        ("column[0] == 1", "neither a column"),
        ("key[0] == 'a'", "neither a column"),
        ("age\0 == 1", "is no condition on rows"),
        ("(" * 300 + "age", "is no condition on rows"),
        ("not " * 100 + "age == 1", "nested more than 20 deep"),
        ("-" * 900 + "1 == age", "nested more than 20 deep"),
        (" or ".join(["age == 1"] * 120), "more than 300 parts"),
        ("x" * 3000, r"of 3,000 characters is too long \(2,000\)"),
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
def test_anything_else_is_refused_in_words(condition: str, said: str) -> None:
    with pytest.raises(SubsetError, match=said) as refusal:
        keys(condition)
    assert len(str(refusal.value)) < 700


def test_two_columns_of_one_spelling_are_told_apart() -> None:
    samples = pd.DataFrame({"a b": [1.0], "a-b": [0.0]})
    with pytest.raises(SubsetError, match=r"a_b may be a b or a-b: write column\['a b'\]"):
        fulfilled(parse("a_b == 1"), samples)
    assert fulfilled(parse("column['a-b'] == 0"), samples).all()


def test_one_condition_has_one_text() -> None:
    spellings = ("sex=='female' and ( age>=18 or age is None )", 'sex == "female" and (age >= 18 or age is null)')
    assert {text_of(parse(text)) for text in spellings} == {"sex == 'female' and (age >= 18 or age is null)"}
    assert [text_of(clause) for clause in clauses(parse("a == 1 and (b == 2 and c == 3) and (d == 4 or e == 5)"))] == [
        *("a == 1", "b == 2", "c == 3", "d == 4 or e == 5"),
    ]
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
