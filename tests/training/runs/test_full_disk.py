"""A disk that is really full: a small file system of its own, filled and emptied while a run trains."""

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shards.loading.loaders import TwoViewBatch
from tests.training.pretraining.small_run import options_of
from tests.training.pretraining.test_pretrain import Stop, assert_equal, final_state, signal_after
from training.errors import RunError
from training.pretraining.command import Outcome, pretrain
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.runs.checkpoints import checkpoint_path, checkpoint_steps, load_checkpoint, save_checkpoint
from training.runs.full_disk import may_pass, told_plainly
from training.runs.metrics_log import MetricsLog, read_metrics

__all__ = ["signal_after"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 450 MB: room for three checkpoints of a ResNet-18 with SGD, 135 MB each."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=450m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> None:
    with (disk / "other people's files").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize)
    assert os.statvfs(disk).f_bavail == 0


def empty(disk: Path) -> None:
    (disk / "other people's files").unlink()


def sgd(options: PretrainOptions) -> PretrainOptions:
    return replace(options, optimizer="sgd", checkpoint_every=2, log_every=1)


@pytest.fixture(scope="module")
def undisturbed(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    assert pretrain(sgd(options_of(tiny_shards, output))) is Outcome.FINISHED
    return output


def test_a_checkpoint_that_does_not_fit_is_an_error_of_the_system_and_leaves_the_one_before(small_disk: Path) -> None:
    save_checkpoint(small_disk, 1, {"a": torch.ones(1000)})
    with pytest.raises(OSError, match="No space left") as failure:
        save_checkpoint(small_disk, 2, {"a": torch.ones(120_000_000)})
    assert failure.value.errno == errno.ENOSPC
    assert [path.name for path in (small_disk / "checkpoints").iterdir()] == ["step-00000001.pt"]
    assert torch.equal(load_checkpoint(small_disk, 1)["a"], torch.ones(1000))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # tensorboard's writing thread
@pytest.mark.usefixtures("terminal_log")
def test_lines_of_metrics_wait_for_room_and_none_is_cut_or_left_out(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with MetricsLog(small_disk, start=0) as log:
        log.write({"step": 1, "loss": 1.0})
        fill(small_disk)
        for step in range(2, 400):  # more than what is left of the file's last page
            log.write({"step": step, "loss": 1 / step})
            for line in (small_disk / "metrics.jsonl").read_bytes().splitlines():
                json.loads(line)
        with pytest.raises(OSError, match="No space left"):
            log.sync()
        assert len(read_metrics(small_disk)) < 399
        empty(small_disk)
        log.sync()
        assert [line["step"] for line in read_metrics(small_disk)] == list(range(1, 400))
        log.write({"step": 400, "loss": 0.0})
    assert len(read_metrics(small_disk)) == 400
    assert capsys.readouterr().err.count("Warning: ") == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.usefixtures("terminal_log")
def test_a_full_disk_leaves_the_run_alive_and_later_checkpoints_are_written_again(
    tiny_shards: Path,
    small_disk: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = sgd(options_of(tiny_shards, small_disk / "run"))
    plain, whole = Trainer.step, []

    def step(trainer: Trainer, batch: TwoViewBatch) -> None:
        plain(trainer, batch)
        if trainer.steps == 3:
            fill(small_disk)
        if trainer.steps == 9:
            whole.append(load_checkpoint(options.output, 2)["step"])
            whole.extend(checkpoint_steps(options.output))
            empty(small_disk)

    monkeypatch.setattr(Trainer, "step", step)
    assert pretrain(options) is Outcome.FINISHED
    assert whole == [2, 2]
    said = capsys.readouterr().err
    for missed in (4, 6, 8):
        path = checkpoint_path(options.output, missed)
        assert f"Warning: {path} cannot be written: No space left on device; the newest is that of step 2" in said
    assert checkpoint_steps(options.output) == [10, 12]
    assert_equal(final_state(options.output), final_state(undisturbed))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_told_to_stop_or_at_its_end_insists_on_its_checkpoint(
    tiny_shards: Path, small_disk: Path, undisturbed: Path, signal_after: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = sgd(options_of(tiny_shards, small_disk / "run"))
    for filled, stopped, unwritten in ((3, 5, 5), (9, -1, 12)):
        signal_after(stopped)
        signalling = Trainer.step

        def step(trainer: Trainer, batch: TwoViewBatch, at: int = filled, plain: object = signalling) -> None:
            plain(trainer, batch)  # type: ignore[operator]
            if trainer.steps == at:
                fill(small_disk)

        monkeypatch.setattr(Trainer, "step", step)
        with pytest.raises(RunError, match=rf"step-0*{unwritten}.pt cannot be written: No space left .*Make space"):
            pretrain(options)
        monkeypatch.undo()
        empty(small_disk)
        assert checkpoint_steps(options.output)[-1] == filled - 1
    assert pretrain(options) is Outcome.FINISHED
    assert_equal(final_state(options.output), final_state(undisturbed))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_that_finds_its_disk_full_says_what_to_do(tiny_shards: Path, small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(RunError, match=r"No space left on device. Make space .*run the same command again"):
        pretrain(options_of(tiny_shards, small_disk / "run"))


def test_only_errors_of_a_full_or_failing_disk_may_pass() -> None:
    assert all(may_pass(OSError(number, "")) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO))
    assert not any(may_pass(OSError(number, "")) for number in (errno.EACCES, errno.EROFS, errno.ENOENT))
    with pytest.raises(PermissionError), told_plainly(Path("run")):
        raise PermissionError(errno.EACCES, "no")
