"""Warnings of a page by kind, each with the files that it is of."""

from dataclasses import replace
from pathlib import Path

from evaluation.report.prose.warnings import warnings
from evaluation.report.study import Model, Result, Study
from tests.evaluation.report.test_gains import result, sidecar


def study(*results: Result) -> Study:
    return Study(Path("study"), results=list(results))


def changed(name: str, **changes: object) -> Result:
    one = result([sidecar("moco")], [sidecar("random")], name=name)
    strong = {label: replace(entry, positives=20, negatives=30) for label, entry in one.content.labels.items()}
    return replace(one, content=replace(one.content, **{"labels": strong, **changes}))  # type: ignore[arg-type]


def said(found: Study, *arguments: list[str]) -> dict[str, list[str]]:
    return {kind.heading: kind.sentences for kind in warnings(found, *arguments)}


def test_a_page_without_weaknesses_has_no_warnings() -> None:
    assert said(study(changed("a.json"))) == {}


def test_few_units_and_few_of_a_class_are_named_with_label_and_file() -> None:
    found = said(study(changed("a.json", units=12), result([sidecar("moco")], name="b.json")))
    assert found["Few units, few of a class, few replicates"] == [
        "Only 12 patients: Edema (a.json).",
        "Fewer than 10 of a class: Edema (b.json).",
    ]


def test_unknown_patients_and_allowed_differences_and_the_results_own_warnings_are_collected_once() -> None:
    many = [
        changed(f"{number}.json", allow_unknown_patients=number == 0, allowed_different=("method", "recalibration"))
        for number in range(5)
    ]
    own = changed("w.json", warnings=("A sentence.",))
    found = said(study(*many, own, replace(own, name="x.json")))
    assert found["Patients that weights have seen"] == [
        "It is not known whether the weights had seen patients they were tested on, which was allowed: 0.json. No "
        "evidence for new ones."
    ]
    assert found["Differences between arms that were allowed"] == [
        "Arms differ in method and recalibration beside their weights, as was allowed: 0.json and 4 more."
    ]
    assert found["Warnings of the results"] == ["A sentence. (w.json and x.json)"]


def test_what_is_missing_unfinished_and_damaged_is_named() -> None:
    empty = Study(Path("study"), models=[Model("cells/a", None, ())], unreadable=["b.json"])
    found = said(empty, ["cells/c"], ["chexpert"])
    assert found == {
        "Missing and unreadable": [
            "1 model of the study was not trained when this page was made: cells/c.",
            "Not finished when this page was made: cells/a.",
            "Could not be read and are left out: b.json.",
            "Datasets whose rows cannot be read, so that they have no table of participants: chexpert.",
        ]
    }
