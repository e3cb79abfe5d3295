"""Damaged checkpoints: which one the run resumes from, what is kept, what is said."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from shards.errors import ResumeError
from tests.training.pretraining.small_run import options_of
from tests.training.pretraining.test_pretrain import Stop, assert_equal, final_state, signal_after
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.runs.checkpoints import checkpoint_path, checkpoint_steps, newest_whole, save_checkpoint
from training.runs.directory import read_last
from training.runs.metrics_log import read_metrics

__all__ = ["signal_after"]


def flip_a_bit(path: Path) -> None:
    """In the middle of the file: in a tensor."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    """As a power cut may leave a file whose data never reached the disk."""
    path.write_bytes(path.read_bytes()[:-100])


def two_checkpoints(run: Path) -> None:
    for step in (3, 6):
        save_checkpoint(run, step, {"weights": torch.full((1000,), float(step))})


def test_a_run_without_checkpoints_has_none_to_go_on_from(tmp_path: Path) -> None:
    assert newest_whole(tmp_path) is None


@pytest.mark.usefixtures("terminal_log")
def test_the_newest_of_whole_checkpoints_is_taken_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_checkpoints(tmp_path)
    assert newest_whole(tmp_path) == 6
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("damage", "what"), [(flip_a_bit, "checksum of its part"), (cut_off, "cut off")])
@pytest.mark.usefixtures("terminal_log")
def test_a_damaged_newest_checkpoint_is_set_aside_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], what: str
) -> None:
    two_checkpoints(tmp_path)
    damage(checkpoint_path(tmp_path, 6))
    before = checkpoint_path(tmp_path, 6).read_bytes()
    assert newest_whole(tmp_path) == 3
    said = capsys.readouterr().err
    assert f"{checkpoint_path(tmp_path, 6)} is damaged: " in said
    assert what in said
    assert "kept as step-00000006.pt.damaged; the run resumes from the checkpoint before it, of step 3" in said
    assert checkpoint_steps(tmp_path) == [3]
    assert (tmp_path / "checkpoints" / "step-00000006.pt.damaged").read_bytes() == before


@pytest.mark.usefixtures("terminal_log")
def test_who_only_reads_takes_the_one_before_a_damaged_one_and_renames_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_checkpoints(tmp_path)
    flip_a_bit(checkpoint_path(tmp_path, 6))
    assert newest_whole(tmp_path, reading=True) == 3
    assert "step-00000006.pt is damaged" in (said := capsys.readouterr().err)
    assert "The checkpoint before it, of step 3, is read." in said
    assert checkpoint_steps(tmp_path) == [3, 6]


def test_without_a_whole_checkpoint_nothing_is_touched_and_what_to_do_is_said(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    for step in (3, 6):
        flip_a_bit(checkpoint_path(tmp_path, step))
    for _ in range(2):  # and it does not start from the beginning when it is called again
        with pytest.raises(ResumeError, match=r"No checkpoint of .* is whole.*step-00000006.*step-00000003.*backup"):
            newest_whole(tmp_path)
    assert checkpoint_steps(tmp_path) == [3, 6]


@pytest.mark.usefixtures("terminal_log")
def test_a_run_whose_newest_checkpoint_has_a_flipped_bit_ends_as_if_it_had_none(
    tiny_shards: Path, tmp_path: Path, signal_after: Stop, capsys: pytest.CaptureFixture[str]
) -> None:
    options: PretrainOptions = options_of(tiny_shards, tmp_path / "run")
    undisturbed = options_of(tiny_shards, tmp_path / "undisturbed")
    assert pretrain(undisturbed) is Outcome.FINISHED
    signal_after(9)
    assert pretrain(options) is Outcome.PREEMPTED
    assert checkpoint_steps(options.output) == [6, 9]
    flip_a_bit(checkpoint_path(options.output, 9))
    signal_after(7)
    assert pretrain(options) is Outcome.PREEMPTED
    assert "step-00000009.pt is damaged" in capsys.readouterr().err
    assert [line["step"] for line in read_metrics(options.output)] == [4]  # that of step 8 is cut: done again
    last = read_last(options.output)
    assert last is not None
    assert last.step == 7
    signal_after(-1)
    assert pretrain(options) is Outcome.FINISHED
    assert [line["step"] for line in read_metrics(options.output)] == [4, 8, 12]
    assert_equal(final_state(options.output), final_state(undisturbed.output))
    assert (options.output / "checkpoints" / "step-00000009.pt.damaged").is_file()
