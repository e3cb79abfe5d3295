"""Limits on the time of a run, the margin before them, and what a run does when one comes near."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.loading.loaders import TwoViewBatch
from tests.training.pretraining.small_run import options_of
from tests.training.pretraining.test_pretrain import assert_equal, final_state
from tests.training.pretraining.test_pretrain_command import arguments, invoke
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.processes.time_limit import SLURM_END, TimeLimit, seconds_of
from training.runs.directory import read_config, read_last


@given(days=st.integers(0, 30), hours=st.integers(0, 23), minutes=st.integers(0, 59), seconds=st.integers(0, 59))
def test_a_duration_as_slurm_writes_it_is_its_seconds(days: int, hours: int, minutes: int, seconds: int) -> None:
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    written = f"{days}-" * bool(days) + f"{hours:02}:" * bool(days or hours) + f"{minutes:02}:{seconds:02}"
    if total:
        assert seconds_of(written) == total
        assert seconds_of(str(total)) == total


@pytest.mark.parametrize("text", ["", "0", "00:00", "-5", "1-", "1-12", "1-12:30", "1:2:3:4", "soon", "inf", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        seconds_of(text)


def test_the_earlier_of_both_limits_counts_and_none_is_none() -> None:
    def ends(limit: float | None, job: float | None) -> str:
        environment = {} if job is None else {SLURM_END: str(int(time.time() + job))}
        return TimeLimit(limit, environment).name

    assert ends(None, None) == ""
    assert ends(500, None) == "--time-limit of 500 s"
    assert ends(None, 500) == "time limit of the job"
    assert ends(500, 900) == "--time-limit of 500 s"
    assert ends(900, 500) == "time limit of the job"
    assert not TimeLimit(None, {}).is_near()


def test_the_margin_follows_from_the_slowest_checkpoint_and_the_slowest_recent_step() -> None:
    limit = TimeLimit(1000, {})
    assert limit.margin() == 70  # a minute for a checkpoint that nobody has timed, and the way out
    limit.note_checkpoint(4.0)
    limit.note_checkpoint(3.0)
    assert limit.margin() == 2 * 4 + 10
    for seconds in (30.0, 1.0, 2.0):
        limit.note_step(seconds)
    assert limit.margin() == 2 * 30 + 2 * 4 + 10
    for _ in range(98):
        limit.note_step(1.5)
    assert limit.margin() == 2 * 2 + 2 * 4 + 10  # the first step, which took so long, is forgotten
    assert not limit.is_near()
    limit.note_checkpoint(500.0)
    assert limit.is_near()


@pytest.mark.usefixtures("terminal_log")
def test_a_run_stops_before_its_limit_with_a_checkpoint_and_goes_on_to_the_same_end(
    tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options: PretrainOptions = options_of(tiny_shards, tmp_path / "run")
    undisturbed = options_of(tiny_shards, tmp_path / "undisturbed")
    assert pretrain(replace(undisturbed, time_limit=3600.0)) is Outcome.FINISHED
    plain = Trainer.step

    def slow(trainer: Trainer, batch: TwoViewBatch) -> None:
        plain(trainer, batch)
        if trainer.steps == 3:  # as if the clock had run: the end of the job is now a minute away
            ends.append(time.time() + 60)
            monkeypatch.setattr(TimeLimit, "is_near", lambda limit, _steps: time.time() + limit.margin() >= ends[0])

    ends: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", slow)
        assert pretrain(replace(options, time_limit=3600.0)) is Outcome.PREEMPTED
    assert "Stopped by --time-limit of 3600 s after step 3 of 12" in capsys.readouterr().out
    monkeypatch.undo()
    last = read_last(options.output)
    assert last is not None
    assert (last.step, last.finished) == (3, False)
    config = read_config(options.output)
    assert config is not None
    assert "time_limit" not in config
    monkeypatch.setenv(SLURM_END, str(int(time.time()) + 30))  # less than the margin: a step a start, and never none
    assert pretrain(options) is Outcome.PREEMPTED
    assert "Stopped by time limit of the job after step 4 of 12" in capsys.readouterr().out
    monkeypatch.delenv(SLURM_END)
    assert pretrain(options) is Outcome.FINISHED
    assert_equal(final_state(options.output), final_state(undisturbed.output))


def test_the_command_exits_with_75_before_its_limit(tiny_shards: Path, tmp_path: Path) -> None:
    result = invoke(*arguments(tiny_shards, tmp_path / "run", "--time-limit=00:00:30"))
    assert result.exit_code == 75, result.output
    assert "Stopped by --time-limit of 30 s after step 1 of 18" in result.output
    assert "Run the same command again to resume" in result.output
    wrong = invoke(*arguments(tiny_shards, tmp_path / "run", "--time-limit=soon"))
    assert wrong.exit_code == 2
    assert "--time-limit" in wrong.output
