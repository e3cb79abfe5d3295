from itertools import combinations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ingest.tables.rejections import REASON, mark_conflicts, mark_labels, printable

values = st.sampled_from(["a", "b", None])


@given(st.lists(st.tuples(st.sampled_from("xyz"), values, values), max_size=9))
def test_rows_conflict_where_any_two_of_one_thing_differ(cells: list[tuple[str, str | None, str | None]]) -> None:
    rows = pd.DataFrame(cells, columns=["thing", "sex", "label"], dtype=object)
    rows["where"] = [f"t.csv line {number}" for number in range(len(rows))]
    mark_conflicts(rows, ["thing"], ["sex", "label"])
    things = {
        one[0] for one, other in combinations(cells, 2) if one[0] == other[0] and one[1:] != other[1:]
    }  # slow and obvious
    assert rows[REASON].notna().tolist() == [cell[0] in things for cell in cells]
    for index, reason in rows[REASON].dropna().items():
        column, _, rest = reason.removeprefix("conflicting rows: ").partition(" is ")
        here, _, there = rest.partition(" here and ")
        value, _, place = there.partition(" in t.csv line ")
        other = rows.iloc[int(place)]
        assert (rows.at[index, "thing"], here) == (other["thing"], rows.at[index, column] or "blank")
        assert value == (other[column] or "blank") != here


def test_a_row_that_is_rejected_already_contradicts_nobody() -> None:
    rows = pd.DataFrame({"thing": ["x", "x"], "sex": ["a", "b"], "where": ["1", "2"], REASON: [None, "bad: b"]})
    mark_conflicts(rows, ["thing"], ["sex"])
    assert rows[REASON].isna().tolist() == [True, False]


def test_labels_are_compared_as_numbers_and_named_as_text() -> None:
    text = pd.DataFrame({"Edema": ["1", "1.0", "-1", "0.00", "", "+1", "1e0", "0x1", "yes", "-2", "nan", "1 "]})
    rows = pd.DataFrame({"where": [""] * len(text)})
    found = mark_labels(rows, text)["Edema"]
    np.testing.assert_array_equal(found.iloc[:7], np.array([1, 1, -1, 0, np.nan, 1, 1], dtype=np.float32))
    assert rows[REASON].notna().tolist() == [False] * 7 + [True] * 4 + [False]
    assert rows[REASON].iloc[9] == "label out of range: Edema is '-2', not 1, 0, -1 or blank"


@given(st.lists(st.text(st.characters(), max_size=400), max_size=5))
def test_what_is_printed_is_one_short_line_of_utf_8(cells: list[str]) -> None:
    for text in printable(pd.Series(cells, dtype=object)):
        assert text.isprintable()
        assert len(text) <= 303
        text.encode()


def test_plain_text_is_printed_as_it_is() -> None:
    assert printable(pd.Series(["train/patient1", "é 漢 '\"", None])).tolist() == ["train/patient1", "é 漢 '\"", ""]
    assert printable(pd.Series(["a\nb\0\ud800"], dtype=object)).tolist() == ["a\\nb\\x00\\ud800"]
