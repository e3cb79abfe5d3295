"""The result's JSON: what is written is what is read, and another kind of value is refused by its key."""

import json
from dataclasses import replace

import pytest

from evaluation.results.reading import result_from_json
from evaluation.statistics.result import (
    ArmInput,
    BootstrapResult,
    Difference,
    Inputs,
    LabelResult,
    MeanResult,
    MetricResult,
    SubgroupResult,
    Value,
)
from evaluation.tables.comparison import LeftOut
from evaluation.tables.truth import TruthOrigin
from shards.json_value import JsonError, JsonValue
from tests.evaluation.files import sidecar_of

ARMS = {"moco": Value(0.8, (0.7, 0.9), "logit-t", (0.79, None), (0.72, 0.88), (0.71, 0.9)), "start": Value(None)}
DIFFERENCES = {"moco": Difference(0.1, (0.0, 0.2), 0.04, "influence-t", 9.3, (0.01, 0.2), 0.05, 0.08, (0.02, 0.18))}
LABEL = LabelResult(50, 9, 41, 2, ARMS, DIFFERENCES)
MEAN = MeanResult(("Edema",), 2, ARMS, DIFFERENCES)
FILE = ArmInput("moco.csv", "0" * 64, 1, 7, sidecar_of({"split": "test", "mean": [1.5, None], "model": {"draw": 1}}))
RESULT = BootstrapResult(
    metric="auroc",
    replicates=500,
    level=0.95,
    seed=0,
    reference="start",
    unit="patient_id",
    units=40,
    over=("patients", "draws"),
    different=("image_size",),
    left_out=LeftOut({"truth.csv": ["Fracture"]}, {"Edema": {"uncertain": 3, "blank": 0}}),
    warnings=("Few positives.",),
    labels={"Edema": LABEL},
    mean=MEAN,
    holm_family=("moco: Edema",),
    inputs=Inputs(
        TruthOrigin("shards", 50, name="chexpert", digest="a" * 64, split="test", images=90),
        {"moco": (FILE,), "start": (ArmInput("scores.zarr", None, 0, None, None),)},
    ),
    versions={"numpy": "2.3"},
    allowed_different=("image_size",),
    metrics={"ap": MetricResult({"Edema": LABEL}, MEAN)},
    subgroups={"sex": {"female": SubgroupResult(20, {"Edema": LABEL}, MEAN)}},
)


def test_what_is_written_is_read_back_whole() -> None:
    written = json.loads(json.dumps(RESULT.as_json()))
    assert result_from_json(JsonValue(written)) == RESULT
    assert json.loads(json.dumps(result_from_json(JsonValue(written)).as_json())) == written


def test_the_truth_keeps_the_keys_of_its_kind_in_their_order() -> None:
    of_shards = RESULT.as_json()["inputs"]["labels"]
    assert list(of_shards) == ["path", "name", "digest", "split", "rows", "images"]
    of_table = replace(RESULT, inputs=Inputs(TruthOrigin("truth.csv", 50, sha256="b" * 64), {}))
    assert list(of_table.as_json()["inputs"]["labels"]) == ["path", "sha256", "rows"]


def test_keys_of_a_later_writer_are_passed_over() -> None:
    written = RESULT.as_json() | {"calibration": {"slope": 1.0}}
    written["labels"]["Edema"]["arms"]["moco"]["brier"] = 0.1
    assert result_from_json(JsonValue(written)) == RESULT


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("labels", "Edema", "n"), "50", r"labels\.Edema\.n is '50', not a whole number"),
        (
            ("labels", "Edema", "arms", "moco", "ci"),
            [0.7],
            r"arms\.moco\.ci is \[0\.7\], not two numbers",
        ),
        (
            ("mean", "differences", "moco", "p_value"),
            "0.04",
            r"moco\.p_value is .0\.04., not a number",
        ),
        (("inputs", "arms", "moco"), {}, r"inputs\.arms\.moco is \{\}, not a list"),
        (("units",), None, "units is None, not a whole number"),
        (("subgroups", "sex", "female"), 3, r"subgroups\.sex\.female is 3, not an object"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_key(path: tuple[str, ...], value: object, message: str) -> None:
    written = json.loads(json.dumps(RESULT.as_json()))
    holder = written
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(JsonError, match=message):
        result_from_json(JsonValue(written))
