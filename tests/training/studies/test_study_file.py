"""A study file is read strictly: what is wrong is named by file and key."""

import contextlib
import copy
import datetime
import functools
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes import shipped_recipes
from tests.training.studies.small_study import CONTENT, changed, write_study
from training.errors import StudyError
from training.studies.cells import cells_of
from training.studies.option_values import Settings
from training.studies.study_file import read_study

MOCO_CXR = shipped_recipes()["study_moco_cxr"]


def test_the_paper_s_study_holds_the_values_of_the_published_code() -> None:
    study = read_study(MOCO_CXR)
    assert [run.name for run in study.pretraining] == ["resnet18", "densenet121"]
    assert dict(study.methods["finetune"].values)["epochs"] == "auto"
    assert dict(study.methods["finetune"].values)["batch_size"] == 16
    assert study.run == ("supervised",)
    effusion, tuberculosis = study.targets
    assert effusion.draws == {0.001: 5, 0.01: 5, 0.1: 5, 0.5: 5, 1.0: 1}
    assert tuberculosis.draws == {0.0625: 8, 0.25: 4, 1.0: 1}
    assert effusion.settings == Settings()
    assert dict(tuberculosis.settings.values) == {"uncertain": "ignore", "missing": "ignore"}
    assert study.datasets["chexpert"].splits == {"train": 223414, "valid": 234, "test": 668}
    assert study.evaluation.replicates == 500
    assert study.evaluation.family == ("target", "method", "backbone")


def test_a_recipe_is_taken_with_what_the_study_changes(tmp_path: Path) -> None:
    (run,) = read_study(write_study(tmp_path / "study.yaml")).pretraining
    settings = dict(run.settings.values)
    assert settings["momentum"] == 0.99  # of the recipe
    assert settings["epochs"] == 1


def test_a_recipe_beside_the_study_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("epochs: 3\n")
    study = read_study(write_study(tmp_path / "s.yaml", changed("pretraining", "tiny", "recipe", value="own.yaml")))
    assert study.pretraining[0].recipe == "own.yaml"


TARGET = CONTENT["targets"][0]


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("study_version",), 2, "study_version: this release reads study files of version 1, not 2"),
        (("nonsense",), 1, "nonsense: there is no such key"),
        (("rates",), {"probe": {"resnet18": 1.0}}, "rates.probe: there is no such key"),
        (("rates",), {"embed": {"vgg": 1.0}}, "rates.embed.vgg: there is no such key"),
        (("rates",), {"embed": {"resnet18": 0}}, "rates.embed.resnet18: 0 is not a number above 0"),
        (("name",), "Big Study", "name: 'Big Study' is no name"),
        (("name",), "..", "name: '..' is no name"),
        (("datasets",), {}, "datasets: at least one is needed"),
        (("datasets", "labelled", "splits", "train"), "many", "datasets.labelled.splits.train: 'many' is not a whole"),
        (("datasets", "labelled", "splits", "dev"), 1, "datasets.labelled.splits.dev: there is no such key"),
        (
            ("pretraining", "tiny", "recipe"),
            "demoo",
            "pretraining.tiny.recipe: 'demoo' is neither a file nor a shipped",
        ),
        (("pretraining", "tiny", "recipe"), "study_moco_cxr", "study_version: there is no such option here"),
        (("pretraining", "tiny", "shards"), ["nih"], "pretraining.tiny.shards[0]: 'nih' is not one of labelled"),
        (("targets", 0, "pretraining"), ["big"], "targets[0].pretraining[0]: 'big' is not one of tiny"),
        (("pretraining", "tiny", "seeds"), [0, 0], "pretraining.tiny.seeds: 0 stands there twice"),
        (("pretraining", "tiny", "epochs"), 0.5, "pretraining.tiny.epochs: 0.5 is not a whole number"),
        (("pretraining", "tiny", "momentun"), 0.5, "pretraining.tiny.momentun: there is no such option here"),
        (("pretraining", "tiny", "device"), "cpu", "pretraining.tiny.device: there is no such option here"),
        (("arms", "moco"), {}, "arms.moco: give either at"),
        (("arms", "moco"), {"at": "middle"}, "arms.moco.at: 'middle' is not one of start, end"),
        (("arms", "moco"), {"backbone_from": "timm:x"}, "arms.moco: backbone_from and seen_patients belong together"),
        (("arms", "moco"), {"at": "end", "preprocessing": "imagenet"}, "arms.moco.preprocessing: an arm of a run"),
        (("reference",), "imagenet", "reference: 'imagenet' is not one of start, moco"),
        (("reference",), ["start", "imagenet"], "reference[1]: 'imagenet' is not one of start, moco"),
        (("reference",), [], "reference: [] is not a list of at least one value"),
        (("methods",), {"distil": {}}, "methods.distil: there is no such key"),
        (("methods", "finetune", "lr"), "1e-3x", "methods.finetune.lr: "),
        (("methods", "finetune", "lr"), True, "finetune.lr: 'true' (true or false) is not a value"),
        (("methods", "finetune", "schedule"), "step", "methods.finetune.schedule: 'step' is not one of"),
        (("methods", "finetune", "draw"), 1, "methods.finetune.draw: there is no such option here"),
        (("methods", "probe"), {"lr": 1.0}, "methods.probe.lr: there is no such option here"),
        (("variants", "plain", "uncertain"), "maybe", "variants.plain.uncertain: 'maybe' is not one of"),
        (("variants", "plain", "methods"), ["distil"], "variants.plain.methods[0]: 'distil' is not one of"),
        (("run",), ["other"], "run[0]: 'other' is not one of plain"),
        (("targets",), [], "targets: [] is not a list of at least one value"),
        (("targets",), [TARGET, TARGET], "targets: 'edema' stands there twice"),
        (("targets", 0, "dataset"), "nih", "targets[0].dataset: 'nih' is not one of labelled"),
        (("targets", 0, "labels"), "Edema", "targets[0].labels: 'Edema' is not a list"),
        (("targets", 0, "fractions"), [0.5, 1.5], "targets[0].fractions[1]: 1.5 is not a number above 0 and at most 1"),
        (("targets", 0, "fractions"), [float("nan")], "targets[0].fractions[0]: nan is not a number above 0"),
        (("targets", 0, "draws"), {0.25: 2}, "targets[0].draws.0.25: 0.25 is none of this target's fractions"),
        (("targets", 0, "draws"), {1.0: 1}, "targets[0].draws: the fraction 0.5 has no number of draws"),
        (("targets", 0, "draws"), 0, "targets[0].draws: 0 is not a whole number of at least 1"),
        (("targets", 0, "aggregate"), "patient", "targets[0].aggregate: 'patient' is not one of image, study"),
        (("evaluation", "replicates"), 399, "evaluation.replicates: 399 are too few for a level of 0.95: at least 400"),
        (("evaluation", "level"), 1.0, "evaluation.level: a level below 1 is needed"),
        (("evaluation", "family"), ["hospital"], "evaluation.family[0]: 'hospital' is not one of"),
        (("seed",), -1, "seed: -1 is not a whole number"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(
    tmp_path: Path, keys: tuple[str | int, ...], value: object, said: str
) -> None:
    path = write_study(tmp_path / "study.yaml", changed(*keys, value=value))
    with pytest.raises(StudyError) as caught:
        read_study(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def _places(content: object, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of the small study, branches and leaves."""
    below = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in below:
        yield (*keys, key)
        yield from _places(value, (*keys, key))


ODD: list[object] = [
    *(None, True, {}, [], {"a": 1}, {"a": {"b": [1]}}, [[1]], [{"a": 1}], [None], "", "x", "../x", "a\0b"),
    *(-1, 0, 2.5, 10**400, float("nan"), float("inf"), datetime.date(2026, 1, 1), [0.5, [0.5]], {0.5: [2]}, {1: 2}),
]


@pytest.mark.parametrize("keys", list(_places(CONTENT | {"rates": {"embed": {"resnet18": 50.0}}})), ids=str)
def test_whatever_stands_at_a_place_is_taken_or_refused_in_words(tmp_path: Path, keys: tuple[str | int, ...]) -> None:
    whole = CONTENT | {
        "rates": {"embed": {"resnet18": 50.0}},
        "evaluation": CONTENT["evaluation"] | {"also_over": ["moco"], "allow_different": ["preprocessing"]},
    }
    for odd in ODD:
        content: Any = copy.deepcopy(whole)
        place = functools.reduce(operator.getitem, keys[:-1], content)
        place[keys[-1]] = odd
        path = write_study(tmp_path / "study.yaml", content)
        with contextlib.suppress(StudyError):
            cells_of(read_study(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is not a mapping"),
        ("- 1\n", "is not a mapping"),
        ("a: [\n", "is not YAML"),
        ("name: a\nname: b\n", "the key 'name' stands twice"),
        ("1: a\n", "the key 1 is not text"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(StudyError, match=said):
        read_study(path)


def test_a_missing_file_and_a_missing_key_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no such file"):
        read_study(tmp_path / "none.yaml")
    content = yaml.safe_load(yaml.safe_dump(CONTENT))
    del content["reference"]
    with pytest.raises(StudyError, match="the key reference is missing"):
        read_study(write_study(tmp_path / "study.yaml", content))
