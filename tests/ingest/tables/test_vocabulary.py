import numpy as np
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.tables.vocabulary import ages, ap_pas, projections, sexes


def test_sexes_in_the_spellings_of_the_archives() -> None:
    text = pd.Series(["M", "F", "Male", "FEMALE", "m", "Unknown", "O", "", "male "])
    assert sexes(text).tolist() == ["male", "female", "male", "female", "male", None, None, None, None]


def test_ages_in_years_months_weeks_and_days() -> None:
    text = pd.Series(
        ["58", "058Y", "61.0", "006M", "0052W", "730.5d", "0", "000Y", "130", "131", "414", "Y", "", "-3", "5X"]
    )
    expected = [58, 58, 61, 0.5, 364 / 365.25, 2, 0, 0, 130, *[np.nan] * 6]
    np.testing.assert_allclose(ages(text), expected, rtol=1e-6)
    assert ages(text).dtype == "float32"


def test_view_positions_are_frontal_or_lateral_or_neither() -> None:
    frontal = ["AP", "PA", "pa", "AP AXIAL", "PA LLD", "AP_horizontal", "Frontal"]
    lateral = ["LATERAL", "Lateral", "LL", "RL", "L", "LAT", "XTABLE LATERAL"]
    neither = ["", "LAO", "RPO", "SWIMMERS", "LATERALS", "APEX", "PANORAMA", "bilateral", "LLD"]
    found = projections(pd.Series([*frontal, *lateral, *neither])).tolist()
    assert found == ["frontal"] * len(frontal) + ["lateral"] * len(lateral) + [None] * len(neither)


def test_only_the_four_known_words_are_kept_of_a_view() -> None:
    assert ap_pas(pd.Series(["AP", "pa", "LL", "RL", "AP AXIAL", "LATERAL", ""])).tolist() == [
        "AP", "PA", "LL", "RL", None, None, None,
    ]  # fmt: skip


@given(st.lists(st.text(max_size=12), max_size=8))
@example(["\u0661\u0662", "²", "1e3", "nan", "Y", "\0", "०५८Y"])
def test_no_text_is_an_error_and_none_gives_an_impossible_age(cells: list[str]) -> None:
    text = pd.Series(cells, dtype="str")
    assert set(sexes(text)) <= {"male", "female", None}
    assert set(projections(text)) <= {"frontal", "lateral", None}
    assert set(ap_pas(text)) <= {"AP", "PA", "LL", "RL", None}
    assert ages(text).dropna().between(0, 130).all()
