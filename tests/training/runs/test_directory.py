from pathlib import Path

import pandas as pd
import pytest
import yaml

from training.errors import RunError
from training.pretraining.options import PretrainOptions
from training.runs.directory import (
    RecordedRun,
    read_config,
    read_last,
    read_run,
    whole_option,
    write_config,
    write_last,
)
from training.runs.files import Last
from training.seen_patients import Seen, read_seen, write_seen

CONFIG = PretrainOptions(shards=(Path("data/a"),), output=Path("runs/x"), threads=2, device="cpu").as_config()


def test_the_config_comes_back_equal_below_its_remarks(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    write_config(run, CONFIG, ["dataset a: digest 12ab"])
    assert read_config(run) == CONFIG
    assert (run / "config.yaml").read_text().startswith("# dataset a: digest 12ab\n")


def test_a_folder_that_is_new_or_empty_holds_no_run(tmp_path: Path) -> None:
    assert read_config(tmp_path) is None
    assert read_config(tmp_path / "new") is None


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(RunError, match=r"holds no config.yaml: it is not a run. Give another --output"):
        read_config(tmp_path)


def test_what_a_run_killed_at_its_very_beginning_leaves_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.yaml.0123456789abcdef.tmp").write_text("backbone: res")
    assert read_config(tmp_path) is None


def test_a_config_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("- a\n- b\n")
    with pytest.raises(RunError, match="does not hold a run's options"):
        read_config(tmp_path)


def test_the_config_survives_yaml_as_plain_values() -> None:
    assert yaml.safe_load(yaml.safe_dump(CONFIG)) == CONFIG


def test_a_run_is_read_with_its_options_and_its_newest_checkpoint(tmp_path: Path) -> None:
    assert read_run(tmp_path) is None
    write_config(tmp_path, CONFIG, [])
    assert read_run(tmp_path) == RecordedRun(tmp_path, CONFIG)
    assert read_last(tmp_path) is None
    write_last(tmp_path, 12, 3, finished=True)
    recorded = read_run(tmp_path)
    assert recorded is not None
    assert recorded.last == Last("checkpoints/step-00000012.pt", 12, 3, True)
    assert recorded.threads == 2


def test_an_option_that_is_no_whole_number_is_named_with_its_file(tmp_path: Path) -> None:
    assert whole_option(tmp_path, CONFIG, "epochs") == 20
    with pytest.raises(RunError, match=r"config.yaml: seed is nothing, not a whole number"):
        whole_option(tmp_path, {"seed": None}, "seed")


def test_last_names_the_checkpoint_relative_to_the_run(tmp_path: Path) -> None:
    assert read_last(tmp_path) is None
    write_last(tmp_path, 1234, 3, finished=False)
    assert read_last(tmp_path) == Last("checkpoints/step-00001234.pt", 1234, 3, False)


WORDS = '{"checkpoint": "checkpoints/step-00000001.pt", "step": 1, "epoch": "three", "finished": "no"}'


@pytest.mark.parametrize("content", ["{", "[]", '{"step": 1}', "3", WORDS, "[" * 100_000])
def test_a_last_json_that_says_something_else_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "last.json").write_text(content)
    with pytest.raises(RunError, match=r"last.json is not the record"):
        read_last(tmp_path)


def test_patients_are_written_sorted_and_once(tmp_path: Path) -> None:
    patients = pd.DataFrame({"dataset": ["b", "a", "b"], "patient_id": ["1", "2", "1"]})
    write_seen(tmp_path, Seen(patients=patients))
    assert read_seen(tmp_path).patients.values.tolist() == [["a", "2"], ["b", "1"]]
    assert read_seen(tmp_path / "none").patients.empty
