import json
from dataclasses import replace

import pytest

from shards.json_value import JsonError, JsonValue
from training.backbones.description import BackboneDescription, read_description

DESCRIPTION = BackboneDescription(
    architecture="resnet18",
    image_size=96,
    mean=128.25,
    std=60.5,
    provenance={"method": "moco-v2", "init": "random", "seed": 7, "epochs": 2, "steps": 20, "datasets": []},
    start_digest="ab12",
    digest="cd34",
)


@pytest.mark.parametrize(
    "description",
    [
        DESCRIPTION,
        replace(DESCRIPTION, start_digest=None, digest=None),
        replace(DESCRIPTION, mean=(1.0, 2.0, 3.5), std=(4.0, 5.0, 6.0)),
    ],
)
def test_a_description_comes_back_from_its_json(description: BackboneDescription) -> None:
    assert read_description(JsonValue(json.loads(json.dumps(description.as_json())))) == description


def test_keys_that_are_not_known_yet_are_left_out_and_the_others_keep_their_order() -> None:
    keys = ["format_version", "architecture", "image_size", "mean", "std", "channels", "provenance"]
    assert list(DESCRIPTION.as_json()) == ["start_digest", *keys, "digest"]
    assert list(replace(DESCRIPTION, start_digest=None, digest=None).as_json()) == keys


def test_provenance_keeps_what_another_release_or_program_wrote() -> None:
    content = json.loads(json.dumps(DESCRIPTION.as_json()))
    content["provenance"]["settings"] = {"lr": 0.1}
    assert read_description(JsonValue(content)).as_json()["provenance"] == content["provenance"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 2, "format_version is 2, not 1"),
        ("architecture", "vit", "architecture is 'vit', not one of resnet18"),
        ("image_size", "96", "image_size is '96', not a whole number"),
        ("mean", [1.0, 2.0], r"mean is \[1.0, 2.0\], not one number for each of three channels"),
        ("std", None, "std is None, not a number"),
        ("provenance", [], r"provenance is \[\], not an object"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(key: str, value: object, message: str) -> None:
    with pytest.raises(JsonError, match=message):
        read_description(JsonValue({**DESCRIPTION.as_json(), key: value}))
