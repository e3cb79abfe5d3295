"""A few hundred of the damaged files that `python -m tests.robustness.fuzz` makes by the thousand."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.robustness import fuzz
from tests.robustness.fuzz_damage import changed_bytes, changed_value, damage
from tests.robustness.fuzz_inputs import make_inputs

EXAMPLES = 250


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz") / "inputs"
    make_inputs(made)
    return made


def test_damaged_files_are_read_or_refused_with_a_sentence(folder: Path) -> None:
    found = fuzz.fuzz(EXAMPLES, folder=folder)
    assert found["failed"] == {}
    assert found["slowest_s"] < fuzz.HANGS_S
    for name, counts in found["counts"].items():
        assert counts.get("a sentence", 0) > 0 or name in fuzz.NEVER_REFUSED, name


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_undamaged_files_are_read(name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "damage", lambda path, random: None)
    target = fuzz.TARGETS[name]
    place = Path(shutil.copytree(folder / target.folder, tmp_path / "place"))
    assert fuzz.outcome(name, place, 0) == "read"


def test_an_example_follows_from_its_number(tmp_path: Path) -> None:
    found = []
    for number in (5, 5, 6):
        path = tmp_path / "file.json"
        path.write_text('{"a": [1, 2, {"b": "text"}], "c": 3.5}')
        damage(path, np.random.default_rng(number))
        found.append(path.read_bytes())
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_values_and_bytes_are_changed_in_many_ways() -> None:
    content = bytes(range(256)) * 4
    ways = {changed_bytes(content, np.random.default_rng(number)) for number in range(300)}
    assert len(ways) > 250
    values = {repr(changed_value({"a": [1, {"b": 2}]}, np.random.default_rng(number))) for number in range(300)}
    assert len(values) > 60


def test_a_traceback_and_a_refusal_without_words_are_failures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(place: Path) -> None:
        raise KeyError("epoch")

    one = fuzz.Target("recipe", ("*.yaml",), wrong)
    monkeypatch.setattr(fuzz, "TARGETS", {"recipes": one})
    monkeypatch.setattr(fuzz, "_TURNS", ["recipes"])
    found = fuzz.fuzz(3, folder=folder)
    assert list(found["failed"]) == [0, 1, 2]
    assert "KeyError" in found["failed"][0]
