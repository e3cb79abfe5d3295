"""The methods paragraph holds what is recorded, cites what it uses, and leaves out what is not recorded."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.report.prose.methods import Methods, methods
from evaluation.report.prose.references import WORKS, Citations
from evaluation.report.study import Study, collect
from tests.evaluation.report.test_gains import result, sidecar


@pytest.fixture(scope="module")
def written(study_folder: Path) -> Methods:
    return methods(collect(study_folder), {"chexpert": "chexpert", "shenzhen": "own images"})


def paragraph(found: Methods, heading: str) -> str:
    return dict(found.paragraphs)[heading]


def test_data_are_named_by_digest_and_cited_only_under_the_name_of_their_reader(
    written: Methods, study_folder: Path
) -> None:
    data = paragraph(written, "Data")
    for dataset in collect(study_folder).datasets:
        assert f"(digest {dataset.digest[:12]})" in data
    assert "chexpert [1] (digest" in data
    assert "shenzhen (digest" in data
    assert written.references[0] == WORKS["chexpert"]
    assert WORKS["shenzhen"] not in written.references


def test_pretraining_says_what_config_yaml_holds_a_sentence_a_backbone(written: Methods) -> None:
    text = paragraph(written, "Pretraining")
    assert text.count(" was pretrained with momentum contrast [") == 2
    assert "A resnet18 [" in text
    assert "A densenet121 [" in text
    assert "96 px, 20 epochs, global batch of 64, learning rate 0.03, queue of 4096 keys" in text
    assert "on images of chexpert and shenzhen, with seed 0" in text
    assert "Not finished: 1 of 1 run." in text
    assert "temperature" not in text  # the run's config.yaml has none


def test_training_says_methods_selection_policies_fractions_and_draws(written: Methods) -> None:
    text = paragraph(written, "Training on labels")
    assert "Arms began from MoCo and Random weights." in text
    assert "C chosen by cross-validation within the training patients" in text
    assert "The epoch with the highest AUROC on validation patients was kept." in text
    assert "Uncertain training labels were left out, labels not mentioned were left out." in text
    assert "1 %, 6.25 %, 10 %, 25 % and 100 % of the training labels" in text
    assert "in up to 3 random draws" in text


def test_evaluation_says_metrics_units_replicates_intervals_and_tests(written: Methods) -> None:
    text = paragraph(written, "Evaluation")
    assert "on the test split by area under the ROC curve (AUROC)" in text
    assert "90 patients and 60 patients were resampled with replacement, with 400 bootstrap replicates (seed 0)" in text
    assert "three or more training subsets" in text
    assert "two-sided t-tests" in text
    assert "p-values were not corrected for their number." in text


def test_thresholds_subgroups_recalibration_and_holm_are_said_where_they_were_used() -> None:
    warm = {**sidecar("moco"), "recalibrated": {"method": "temperature"}}
    one = result([warm], [sidecar("random")])
    holm = {"model": replace(one.content.mean.differences["model"], holm_p_value=0.03)}
    labels = {label: replace(entry, differences=holm) for label, entry in one.content.labels.items()}
    found = methods(Study(Path("s"), results=[replace(one, content=replace(one.content, labels=labels))]), {})
    text = paragraph(found, "Evaluation")
    assert "Probabilities were recalibrated by temperatures" in text
    assert "p-values were corrected by Holm's method" in text
    assert WORKS["guo"] in found.references
    assert WORKS["holm"] in found.references


def test_every_citation_has_its_reference_and_every_reference_a_citation(written: Methods) -> None:
    cited = {
        int(number)
        for _, text in written.paragraphs
        for group in re.findall(r"\[([\d, ]+)\]", text)
        for number in group.split(",")
    }
    assert cited == set(range(1, len(written.references) + 1))


def test_a_work_keeps_its_number_and_an_unknown_one_has_none() -> None:
    citations = Citations()
    assert [citations.cite("moco", "holm"), citations.cite("holm"), citations.cite("no such work")] == [
        " [1, 2]",
        " [2]",
        "",
    ]


def test_an_empty_folder_has_no_methods_but_the_reporting(tmp_path: Path) -> None:
    assert [heading for heading, _ in methods(Study(tmp_path), {}).paragraphs] == ["Reporting"]
