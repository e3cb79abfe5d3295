"""Conditions on rows: what is accepted, what is refused and how."""

import pytest

from shards.errors import SubsetError
from shards.selection.condition import clauses, parse, text_of


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
    ],
)
def test_anything_else_is_refused_in_words(condition: str, said: str) -> None:
    with pytest.raises(SubsetError, match=said) as refusal:
        parse(condition)
    assert len(str(refusal.value)) < 700


def test_one_condition_has_one_text() -> None:
    spellings = ("sex=='female' and ( age>=18 or age is None )", 'sex == "female" and (age >= 18 or age is null)')
    assert {text_of(parse(text)) for text in spellings} == {"sex == 'female' and (age >= 18 or age is null)"}
    assert [text_of(clause) for clause in clauses(parse("a == 1 and (b == 2 and c == 3) and (d == 4 or e == 5)"))] == [
        *("a == 1", "b == 2", "c == 3", "d == 4 or e == 5"),
    ]
