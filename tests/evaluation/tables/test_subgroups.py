"""Columns of the truth to subgroups."""

import numpy as np
import pytest

from evaluation.tables.subgroups import By, by_from_text, subgroups
from evaluation.tables.table_files import TableError


def test_values_are_subgroups_in_their_order_and_blanks_are_in_none() -> None:
    found = subgroups(By("sex"), ["male", "", "female", "male"], ["a", "b", "c", "d"])
    assert found.names == ("female", "male")
    np.testing.assert_array_equal(found.group, [1, -1, 0, 1])


def test_a_number_at_a_cut_belongs_to_the_stretch_above_it() -> None:
    found = subgroups(by_from_text("age:40:60:80"), ["39.9", "40", "59", "60.0", "80", "", "93"], list("abcdefg"))
    assert found.names == ("under 40", "40 to under 60", "60 to under 80", "80 and over")
    np.testing.assert_array_equal(found.group, [0, 1, 1, 2, 3, -1, 3])


@pytest.mark.parametrize("text", ["", ":40", "age:x", "age:60:40", "age:40:40", "age:nan", "age:"])
def test_what_is_no_column_with_ascending_cuts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a column nor a column with ascending cuts"):
        by_from_text(text)


def test_a_value_that_is_no_number_is_named_with_its_row() -> None:
    with pytest.raises(TableError, match=r"--by age: 'old' of k7 is no number"):
        subgroups(By("age", (40.0,)), ["41", "old"], ["k6", "k7"])


def test_a_column_of_many_values_needs_cuts() -> None:
    with pytest.raises(TableError, match=r"--by age: 30 different values .* Give cuts, as in age:40:60:80"):
        subgroups(By("age"), [str(age) for age in range(30)], [str(age) for age in range(30)])
