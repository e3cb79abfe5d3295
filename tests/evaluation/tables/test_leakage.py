"""What sidecars say of leakage: refused, allowed and repeated; what was selected on the judged split is said."""

from typing import Any

import pytest

from evaluation.tables.leakage import Allowed, Leaks, leaks
from evaluation.tables.table import TableError
from tests.evaluation.tables.test_agreement import arm, changed

NEW: dict[str, Any] = {"run_patients": 0, "seen_images": 0, "unknown_patients": [], "declared_patients": []}
LEAKS: list[tuple[dict[str, Any], str, Allowed, str, str]] = [
    ({"seen_patients": 3}, "have seen 3 patients", Allowed(seen=True), "seen_patients", "up to 3 patients that"),
    ({"run_patients": 2}, "have seen 2 patients", Allowed(seen=True), "seen_patients", "up to 2 patients that"),
    (
        *({"seen_patients": 1, "run_patients": 1, "seen_images": 5}, "have seen 2 patients and 5 images under another"),
        *(Allowed(seen=True), "seen_patients", "2 patients and 5 images under another dataset name that the weights"),
    ),
    (
        *({"unknown_patients": ["w.pth stands alone"]}, "not known .*w.pth stands alone.*--seen-patients none|FILE"),
        *(Allowed(unknown=True), "unknown_patients", "not known whether the weights of arm moco"),
    ),
]


@pytest.mark.parametrize(("change", "message", "allowed", "name", "remark"), LEAKS)
def test_leakage_that_a_sidecar_records_is_refused_and_can_be_allowed(
    change: dict[str, Any], message: str, allowed: Allowed, name: str, remark: str
) -> None:
    arms = [arm("start", changed(**NEW)), arm("moco", changed(**NEW), changed(**{**NEW, "draw": 1, **change}))]
    for other in (Allowed(), Allowed(not allowed.seen, not allowed.unknown)):
        with pytest.raises(TableError, match=f"arm moco: .*{message}"):
            leaks(arms, other)
    found = leaks(arms, allowed)
    assert found.allowed == (name,)
    (said,) = found.remarks
    assert remark in said
    assert "as was allowed (--allow-" in said


def test_without_leakage_nothing_is_said() -> None:
    assert leaks([arm("moco", changed(**NEW)), arm("foreign", None)], Allowed(seen=True, unknown=True)) == Leaks()


def test_what_was_declared_is_no_record_and_is_said() -> None:
    found = leaks([arm("moco", changed(**{**NEW, "declared_patients": ["none"]}))], Allowed())
    assert found.remarks == ("What the weights of arm moco had seen was declared, not recorded: none.",)


def test_an_older_sidecar_is_told_apart_in_words() -> None:
    (said,) = leaks([arm("moco", changed())], Allowed()).remarks
    assert "predicted by an earlier release" in said
    (said,) = leaks([arm("moco", changed(**{**NEW, "seen_images": None}))], Allowed()).remarks
    assert "images were not" in said
    assert leaks([arm("moco", {"split": "test"})], Allowed()).remarks == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"selected_on": {"epoch": "valid"}, "split": "valid"}, "epoch was selected on the split that is judged here"),
        ({"selected_on": {"C": "valid", "temperature": "valid"}, "split": "valid"}, "C and temperature was selected"),
        ({"selected_on": {"epoch": "valid"}, "split": "test"}, None),
        ({"selected_on": {"C": "train"}, "split": "valid"}, None),
        ({"split": "valid", "method": "finetune"}, "does not say where the epoch was selected"),
        ({"split": "valid", "method": "probe"}, None),
        (
            {
                **{"selected_on": {"epoch": "valid"}, "split": "valid", "dataset": {"name": "another"}},
                "model": {"dataset": {"name": "chexpert"}},
            },
            None,
        ),
    ],
)
def test_what_was_selected_on_the_split_that_is_judged_is_said(change: dict[str, Any], said: str | None) -> None:
    found = leaks([arm("moco", changed(**NEW, **change))], Allowed())
    assert [str(said) in remark for remark in found.remarks] == ([] if said is None else [True])
    assert found.selected_on == ({"moco": change["selected_on"]} if "selected_on" in change else {})
