from itertools import combinations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ingest.tables.reasons import Kind, Reason
from ingest.tables.rejections import DETAIL, KIND, is_marked, mark_conflicts, mark_labels, printable
from shards.images.unusable_image import Fault

values = st.sampled_from(["a", "b", None])


@given(st.lists(st.tuples(st.sampled_from("xyz"), values, values), max_size=9))
def test_rows_conflict_where_any_two_of_one_thing_differ(cells: list[tuple[str, str | None, str | None]]) -> None:
    rows = pd.DataFrame(cells, columns=["thing", "sex", "label"], dtype=object)
    rows["where"] = [f"t.csv line {number}" for number in range(len(rows))]
    mark_conflicts(rows, ["thing"], ["sex", "label"])
    things = {
        one[0] for one, other in combinations(cells, 2) if one[0] == other[0] and one[1:] != other[1:]
    }  # slow and obvious
    assert is_marked(rows).tolist() == [cell[0] in things for cell in cells]
    if not things:
        return
    assert set(rows[KIND].dropna()) == {"conflicting rows"}
    for index, detail in rows[DETAIL].dropna().items():
        column, _, rest = detail.partition(" is ")
        here, _, there = rest.partition(" here and ")
        value, _, place = there.partition(" in t.csv line ")
        other = rows.iloc[int(place)]
        assert (rows.at[index, "thing"], here) == (other["thing"], rows.at[index, column] or "blank")
        assert value == (other[column] or "blank") != here


def test_a_row_that_is_rejected_already_contradicts_nobody() -> None:
    rows = pd.DataFrame(
        {
            "thing": ["x", "x"],
            "sex": ["a", "b"],
            "where": ["1", "2"],
            KIND: [None, "unusable path"],
            DETAIL: [None, "b"],
        }
    )
    mark_conflicts(rows, ["thing"], ["sex"])
    assert is_marked(rows).tolist() == [False, True]


def test_labels_are_compared_as_numbers_and_named_as_text() -> None:
    text = pd.DataFrame({"Edema": ["1", "1.0", "-1", "0.00", "", "+1", "1e0", "0x1", "yes", "-2", "no", "1 "]})
    rows = pd.DataFrame({"where": [""] * len(text)})
    found = mark_labels(rows, text)["Edema"]
    np.testing.assert_array_equal(found.iloc[:7], np.array([1, 1, -1, 0, np.nan, 1, 1], dtype=np.float32))
    assert is_marked(rows).tolist() == [False] * 7 + [True] * 4 + [False]
    assert [rows.at[9, KIND], rows.at[9, DETAIL]] == ["label out of range", "Edema is '-2', not 1, 0, -1 or blank"]


@given(st.lists(st.text(st.characters(), max_size=400), max_size=5))
def test_what_is_printed_is_one_short_line_of_utf_8(cells: list[str]) -> None:
    for text in printable(pd.Series(cells, dtype=object)):
        assert text.isprintable()
        assert len(text) <= 303
        text.encode()


def test_plain_text_is_printed_as_it_is() -> None:
    assert printable(pd.Series(["train/patient1", "é 漢 '\"", None])).tolist() == ["train/patient1", "é 漢 '\"", ""]
    assert printable(pd.Series(["a\nb\0\ud800"], dtype=object)).tolist() == ["a\\nb\\x00\\ud800"]


def test_every_fault_of_an_image_is_a_kind_of_reason() -> None:
    assert {str(fault) for fault in Fault} <= {str(kind) for kind in Kind}


def test_a_reason_leaves_out_what_is_blank() -> None:
    assert str(Reason(Kind.NO_SPLIT, "in neither list", "t.csv line 3")) == "no split: in neither list (t.csv line 3)"
    assert str(Reason(Kind.NO_SPLIT, "", "t.csv line 3")) == "no split: (t.csv line 3)"
    assert str(Reason(Kind.NO_SPLIT, "", "")) == "no split:"
