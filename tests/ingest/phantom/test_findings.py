"""The phantom's labels: CheXpert's rates, and never at odds with what is drawn."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.archives.chexpert_labels import LABELS
from ingest.archives.shenzhen import parse_reading
from ingest.phantom.chexpert_release import plan_patient
from ingest.phantom.findings import (
    OPACITIES,
    RATES,
    prevalence,
    reported,
    sample_disposition,
    truth,
)
from ingest.phantom.places import Places
from ingest.phantom.shenzhen_release import plan_case
from ingest.phantom.thorax import LEFT, RIGHT
from ingest.phantom.tuberculosis import tuberculous_sides

DRAWN = [label for label in LABELS if label not in ("No Finding", "Lung Opacity")]
severities = st.dictionaries(st.sampled_from(DRAWN), st.floats(1e-6, 1.0), max_size=6)


@pytest.fixture(scope="module")
def studies() -> list[tuple[dict[str, float], dict[str, int | None]]]:
    rng = np.random.default_rng(0)
    return [(severity, reported(severity, rng)) for severity in _severities(rng, 6_000)]


def _severities(rng: np.random.Generator, patients: int) -> list[dict[str, float]]:
    dispositions = [sample_disposition(rng) for _ in range(patients)]
    return [disposition.severities(rng) for disposition in dispositions for _ in range(2)]


@pytest.mark.parametrize("label", LABELS)
def test_train_says_1_0_and_minus_1_as_often_as_chexpert(
    studies: list[tuple[dict[str, float], dict[str, int | None]]], label: str
) -> None:
    said = Counter(labels[label] for _, labels in studies)
    rate = RATES[label]
    for value, share in ((1, rate.positive), (0, rate.negative), (-1, rate.uncertain)):
        assert said[value] / len(studies) == pytest.approx(share, abs=0.015), value


def test_a_findings_severity_is_uniform_where_it_is_present(
    studies: list[tuple[dict[str, float], dict[str, int | None]]],
) -> None:
    found = [severity["Pleural Effusion"] for severity, _ in studies if "Pleural Effusion" in severity]
    assert len(found) / len(studies) == pytest.approx(prevalence("Pleural Effusion"), abs=0.015)
    counts, _ = np.histogram(found, 5, (0, 1))
    assert counts.min() > 0.85 * len(found) / 5


def test_a_patients_studies_are_more_alike_than_two_patients() -> None:
    ill = np.array(["Edema" in severity for severity in _severities(np.random.default_rng(1), 3_000)]).reshape(-1, 2)
    of_others = ill[:, 0].mean()
    of_the_ill = ill[ill[:, 0], 1].mean()
    assert of_the_ill > 1.5 * of_others


@given(severities, st.integers(0, 2**32))
def test_a_1_is_drawn_and_a_0_is_not(severity: dict[str, float], seed: int) -> None:
    present, said = truth(severity), reported(severity, np.random.default_rng(seed))
    for label in LABELS:
        assert said[label] in (1, 0, -1, None)
        if said[label] == 1:
            assert present[label] == 1, label
        if said[label] == 0:
            assert present[label] == 0, label


@given(severities)
def test_no_finding_is_the_absence_of_all_but_devices(severity: dict[str, float]) -> None:
    present = truth(severity)
    assert tuple(present) == LABELS
    assert present["No Finding"] == int(set(severity) <= {"Support Devices"})
    assert present["Lung Opacity"] == int(any(label in severity for label in OPACITIES))
    assert present["Enlarged Cardiomediastinum"] >= present["Cardiomegaly"]


@given(severities, st.integers(0, 2**32))
def test_a_normal_report_mentions_nothing_positive_or_uncertain(severity: dict[str, float], seed: int) -> None:
    said = reported(severity, np.random.default_rng(seed))
    if said["No Finding"] == 1:
        assert all(said[label] in (0, None) for label in LABELS[1:-1])


def test_what_is_called_uncertain_is_subtler_than_what_is_called_positive(
    studies: list[tuple[dict[str, float], dict[str, int | None]]],
) -> None:
    mean = {
        value: np.mean([s["Atelectasis"] for s, said in studies if "Atelectasis" in s and said["Atelectasis"] == value])
        for value in (1, -1)
    }
    assert mean[-1] < mean[1] - 0.2


def test_studies_share_the_anatomy_and_differ_in_exposure() -> None:
    patient = next(p for p in (plan_patient(0, "train", i) for i in range(50)) if len(p.studies) >= 3)
    exposures = {image.acquisition for study in patient.studies for image in study.images}
    assert len(exposures) == sum(len(study.images) for study in patient.studies)
    assert [study.path.rpartition("/")[2] for study in patient.studies] == [
        f"study{number}" for number in range(1, len(patient.studies) + 1)
    ]


def test_readings_say_what_is_drawn_in_wordings_that_the_reader_understands() -> None:
    wordings, infants = set(), 0
    for number in range(1, 401):
        case = plan_case(0, number)
        first, _, rest = case.reading.decode().strip().replace("\r", "").partition("\n")
        sex, age = parse_reading(case.reading.decode())
        assert sex is not None
        assert age is not None
        infants += age < 2
        wordings.add("".join("9" if c.isdigit() else c for c in first.strip()).replace("99", "9"))
        if case.name.endswith("_0"):
            assert rest == "normal"
            assert not case.severity
        else:
            assert "TB" in rest
            _check_side(rest.partition(",")[0].lower(), case.seed)
    assert {"male 9yrs", "Female, 9 yrs", "Male9 yr", "femal 9yrs"} <= wordings
    assert infants >= 3


def _check_side(text: str, seed: int) -> None:
    sides = tuberculous_sides(Places(seed))
    for word, drawn in (("bilateral", (RIGHT, LEFT)), ("right", (RIGHT,)), ("left", (LEFT,))):
        if word in text:
            assert sides == drawn, text
