"""What is found in a run directory before anything is built: another run, an unfinished one, a finished one."""

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from shards.errors import ResumeError
from training.backbones.networks import build_backbone
from training.backbones.weight_files import safetensors_bytes
from training.errors import RunError
from training.pretraining.options import EARLIER_VALUES, PretrainOptions
from training.pretraining.run_directory import Found, find_run
from training.runs.checkpoints import save_checkpoint
from training.runs.directory import write_config, write_last
from training.runs.lock import RunLock
from training.runs.start import write_start
from training.seen_patients import Seen


def recorded(run: Path, **changes: object) -> PretrainOptions:
    """Options of a run whose config is written as that of a run just started, but for `changes`."""
    options = PretrainOptions(shards=(Path("data/a"),), output=run).resolved(device="cpu", threads=2)
    write_config(run, {**options.as_config(), **changes}, [])  # type: ignore[dict-item]
    return options


def find(options: PretrainOptions) -> Found:
    with contextlib.closing(RunLock()) as lock:
        return find_run(options, "cpu", lock)


def refusal_of(options: PretrainOptions) -> str:
    with pytest.raises(ResumeError) as refusal:
        find(options)
    return str(refusal.value)


def test_another_config_is_refused_with_each_differing_option_and_both_values(tmp_path: Path) -> None:
    options = recorded(tmp_path)
    save_checkpoint(tmp_path, 5, {})
    text = refusal_of(replace(options, lr=0.03, queue_size=64, mask="study"))
    assert text == (
        f"{tmp_path} holds a run with other options, which this command cannot resume. --mask: the run has "
        "nothing, asked for is study; --queue-size: the run has 24576, asked for is 64; --lr: the run has 0.0001, "
        "asked for is 0.03. Give the run's own options (they are in config.yaml) or another --output."
    )


def test_initial_weights_may_be_moved_but_not_be_others(tmp_path: Path) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved.safetensors"
    options = recorded(run, init=str(tmp_path / "before.safetensors"))
    write_start(run, build_backbone("resnet18", seed=3), "resnet18", Seen())
    shutil.copy(run / "start.safetensors", moved)
    assert find(replace(options, init=str(moved))).begun
    for other in (build_backbone("resnet18", seed=4), build_backbone("densenet121", seed=3)):
        moved.write_bytes(safetensors_bytes(other.state_dict()))
        assert f"--init: the run has {tmp_path}/before" in refusal_of(replace(options, init=str(moved)))
    assert "--init: the run has" in refusal_of(replace(options, init=str(tmp_path / "gone.safetensors")))
    assert "--init: the run has" in refusal_of(replace(options, init="random"))


def test_a_run_without_a_checkpoint_may_be_removed_the_refusal_says(tmp_path: Path) -> None:
    text = refusal_of(replace(recorded(tmp_path), seed=1))
    assert text.endswith("another --output. It has no checkpoint yet: the folder may be removed.")


def test_an_option_that_an_older_run_did_not_know_is_named(tmp_path: Path) -> None:
    options = recorded(tmp_path)
    write_config(tmp_path, {key: value for key, value in options.as_config().items() if key != "optimizer"}, [])
    assert "--optimizer: the run has nothing, asked for is adam" in refusal_of(options)


def test_a_run_of_an_earlier_release_was_made_without_the_later_options(tmp_path: Path) -> None:
    options = recorded(tmp_path)
    kept = {key: value for key, value in options.as_config().items() if key not in EARLIER_VALUES}
    assert len(kept) < len(options.as_config())
    write_config(tmp_path, kept, [])
    assert find(options) == Found(options, begun=True)
    assert "--gamma: the run has [1.0, 1.0], asked for is [0.8, 1.2]" in refusal_of(replace(options, gamma=(0.8, 1.2)))


def test_moved_shards_and_another_rhythm_of_checkpoints_are_the_same_run(tmp_path: Path) -> None:
    options = recorded(tmp_path, shards=["elsewhere/a"], output="elsewhere/x", checkpoint_every=7)
    assert find(options) == Found(options, begun=True)


def test_other_declared_patients_are_another_run_since_its_record_would_say_something_else(tmp_path: Path) -> None:
    options = recorded(tmp_path)
    assert "--seen-patients: the run has nothing, asked for is none" in refusal_of(
        replace(options, seen_patients="none")
    )


def test_a_run_keeps_its_number_of_threads_unless_another_is_asked_for(tmp_path: Path) -> None:
    options = recorded(tmp_path, threads=3)
    assert find(replace(options, threads=None)).options.threads == 3
    assert "--threads: the run has 3, asked for is 2" in refusal_of(options)


def test_a_finished_run_is_told_and_one_that_is_given_more_epochs_resumes(tmp_path: Path) -> None:
    options = recorded(tmp_path, epochs=20)
    write_last(tmp_path, 120, 20, finished=True)
    assert find(options) == Found(options, begun=True, finished="120 steps, 20 epochs")
    longer = replace(options, epochs=25)
    assert find(longer) == Found(longer, begun=True, is_given_more=True)
    assert "--lr: " in refusal_of(replace(longer, lr=0.5))
    write_last(tmp_path, 60, 10, finished=False)
    assert "--epochs: the run has 20, asked for is 25" in refusal_of(longer)


def test_the_record_of_another_program_is_named_and_ends_in_no_traceback(tmp_path: Path) -> None:
    options = recorded(tmp_path)
    record = {"checkpoint": "last.ckpt", "step": 7, "epoch": "three", "finished": True}
    (tmp_path / "last.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"last.json is not the record of a run's newest checkpoint: epoch is 'three'"):
        find(options)
