from pathlib import Path

import pytest

from shards.errors import ResumeError
from training.downstream.tuning_checkpoints import SavedTuning, TuningCheckpoints
from training.options import Config
from training.processes.signals import StopRequest
from training.processes.time_limit import TimeLimit
from training.runs.checkpoints import save_checkpoint

OPTIONS: Config = {"lr": 1e-3, "scale": [1.0, 1.0]}


def checkpoints(output: Path) -> TuningCheckpoints:
    return TuningCheckpoints(output, OPTIONS, StopRequest(), TimeLimit(None, {}), minutes=0)


def saved(output: Path, **changes: object) -> None:
    save_checkpoint(output, 3, {**dict.fromkeys(SavedTuning.__required_keys__), "options": OPTIONS, **changes})


def test_a_checkpoint_of_the_same_options_is_read_and_none_where_there_is_none(tmp_path: Path) -> None:
    assert checkpoints(tmp_path).newest() is None
    saved(tmp_path, step=3, epoch=1, threads=1)
    state = checkpoints(tmp_path).newest()
    assert state is not None
    assert state["step"] == 3


def test_a_checkpoint_of_other_options_is_refused_with_both_values(tmp_path: Path) -> None:
    saved(tmp_path, options={**OPTIONS, "lr": 0.5})
    with pytest.raises(ResumeError, match=r"with other options \(lr: 0.5 there, 0.001 here\)"):
        checkpoints(tmp_path).newest()


@pytest.mark.parametrize("key", sorted(SavedTuning.__required_keys__ - {"options"}))
def test_a_checkpoint_without_one_of_the_keys_is_refused_by_file_and_key(tmp_path: Path, key: str) -> None:
    content = dict.fromkeys(SavedTuning.__required_keys__ - {key}) | {"options": OPTIONS}
    save_checkpoint(tmp_path, 3, content)
    with pytest.raises(ResumeError, match=rf"step-00000003.pt .* the key {key} is missing. Remove"):
        checkpoints(tmp_path).newest()
