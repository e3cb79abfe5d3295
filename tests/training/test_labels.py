"""What uncertain and missing labels become, and what is refused."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import SubsetError
from shards.format.dataset import open_dataset
from training.choices import MISSING, UNCERTAIN
from training.labels import PLAIN, LabelPolicy, check_labels, refuse_one_class, targets

EVERY_POLICY = [LabelPolicy(u, m) for u, m in itertools.product(UNCERTAIN, MISSING)]


def slow_target(value: float, policy: LabelPolicy) -> float:
    """One cell, as CheXpert's paper puts it into words."""
    if math.isnan(value):
        return 0.0 if policy.missing == "zeros" else math.nan
    if value == -1:
        return {"ignore": math.nan, "zeros": 0.0, "ones": 1.0}[policy.uncertain]
    return value


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (LabelPolicy("ignore", "ignore"), [1, 0, np.nan, np.nan]),
        (LabelPolicy("zeros", "ignore"), [1, 0, 0, np.nan]),
        (LabelPolicy("ones", "ignore"), [1, 0, 1, np.nan]),
        (LabelPolicy("ignore", "zeros"), [1, 0, np.nan, 0]),
        (LabelPolicy("zeros", "zeros"), [1, 0, 0, 0]),
        (LabelPolicy("ones", "zeros"), [1, 0, 1, 0]),
    ],
    ids=str,
)
def test_each_policy_reads_uncertain_and_missing_labels_as_it_says(policy: LabelPolicy, expected: list[float]) -> None:
    rows = pd.DataFrame({"Edema": np.array([1, 0, -1, np.nan], dtype=np.float32)})
    found = targets(rows, ["Edema"], policy)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32)[:, None])


@given(
    st.lists(st.tuples(*[st.sampled_from([1.0, 0.0, -1.0, math.nan])] * 3), max_size=20),
    st.sampled_from(EVERY_POLICY),
)
def test_targets_equal_the_slow_reference_in_the_order_of_the_labels_asked_for(
    cells: list[tuple[float, float, float]], policy: LabelPolicy
) -> None:
    rows = pd.DataFrame(cells, columns=["a", "b", "c"], dtype=np.float32)
    expected = np.array([[slow_target(c, policy), slow_target(a, policy)] for a, _, c in cells], dtype=np.float32)
    np.testing.assert_array_equal(targets(rows, ["c", "a"], policy), expected.reshape(-1, 2))


def test_valid_and_test_splits_are_read_without_any_guess() -> None:
    assert LabelPolicy("ignore", "ignore") == PLAIN


def test_every_policy_of_the_table_can_be_read() -> None:
    rows = pd.DataFrame({"Edema": np.array([1, 0, -1, np.nan], dtype=np.float32)})
    assert len({targets(rows, ["Edema"], policy).tobytes() for policy in EVERY_POLICY}) == len(EVERY_POLICY) == 6


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Edema", "Oedema"), r"labelled has no label 'Oedema'; it has: Edema, Pleural Effusion"),
        (("edema",), "no label 'edema'"),
        ((), "no label ''; it has"),
        (("Edema", "Edema"), "names a label twice"),
    ],
)
def test_labels_that_a_dataset_does_not_have_are_refused_by_name(
    names: tuple[str, ...], message: str, labelled_root: Path
) -> None:
    with pytest.raises(SubsetError, match=message):
        check_labels(names, open_dataset(labelled_root))


def test_labels_of_one_class_are_refused_by_name_with_their_counts() -> None:
    found = np.array([[1, 0, np.nan], [0, 0, np.nan], [np.nan, np.nan, 1]], dtype=np.float32)
    with pytest.raises(SubsetError) as refused:
        refuse_one_class(found, ["Edema", "Fracture", "Pneumonia"], "here")
    message = str(refused.value)
    assert message.startswith("here: ")
    assert "Fracture (0 positive, 2 negative); Pneumonia (1 positive, 0 negative)" in message
    assert "Edema" not in message
    assert all(option in message for option in ("--label-fraction", "--draw", "--labels", "--uncertain", "--missing"))
    refuse_one_class(found[:, :1], ["Edema"], "here")
