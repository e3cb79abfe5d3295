from pathlib import Path

import pytest
import torch

from shards.errors import ResumeError
from training.errors import DamagedCheckpointError
from training.runs.checkpoints import (
    checkpoint_path,
    checkpoint_steps,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)


def test_a_checkpoint_comes_back_equal_on_the_cpu(tmp_path: Path) -> None:
    state = {"step": 3, "weights": {"a": torch.randn(4)}, "losses": [0.1, 2.5], "none": None, "name": "x"}
    path = save_checkpoint(tmp_path, 3, state)
    assert path == tmp_path / "checkpoints" / "step-00000003.pt"
    loaded = load_checkpoint(tmp_path, 3)
    assert torch.equal(loaded["weights"]["a"], state["weights"]["a"])  # type: ignore[index]
    assert {key: loaded[key] for key in ("step", "losses", "none", "name")} == {
        key: state[key] for key in ("step", "losses", "none", "name")
    }


def test_a_checkpoint_that_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"a": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(tmp_path, 2, {"a": torch.ones(10_000), "b": lambda: None})
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000001.pt"]


def test_the_newest_two_are_kept_and_later_ones_of_an_abandoned_course_go(tmp_path: Path) -> None:
    for step in (1, 5, 9, 70, 80):
        save_checkpoint(tmp_path, step, {})
    (tmp_path / "checkpoints" / ".step-00000090.pt.123.tmp").write_bytes(b"half")
    prune_checkpoints(tmp_path, newest=9)
    assert checkpoint_steps(tmp_path) == [5, 9]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000005.pt",
        "step-00000009.pt",
    ]


def test_a_run_without_checkpoints_has_no_steps(tmp_path: Path) -> None:
    assert checkpoint_steps(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"hello"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: bytes) -> None:
    path = save_checkpoint(tmp_path, 4, {"a": torch.ones(100)})
    path.write_bytes(damage)
    with pytest.raises(DamagedCheckpointError, match=r"step-00000004.pt is damaged: cut off, or not what was written"):
        load_checkpoint(tmp_path, 4)


def test_no_changed_byte_goes_unnoticed(tmp_path: Path) -> None:
    """torch.load alone lets a changed tensor pass. Bytes between the members hold nothing: they may change."""
    state = {"weights": torch.arange(40.0), "losses": [0.5, 2.0], "none": None}
    path = save_checkpoint(tmp_path, 4, state)
    whole, noticed, missed_by_torch = path.read_bytes(), 0, 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            loaded = load_checkpoint(tmp_path, 4)
        except ResumeError:
            noticed += 1
            missed_by_torch += _reads_otherwise(path, state)
        else:
            assert torch.equal(loaded["weights"], state["weights"])  # type: ignore[arg-type]
            assert (loaded["losses"], loaded["none"]) == ([0.5, 2.0], None)
    assert noticed > 0.2 * len(whole)
    assert missed_by_torch >= 160  # the tensor's own bytes


def _reads_otherwise(path: Path, state: dict[str, object]) -> bool:
    try:
        loaded = torch.load(path, weights_only=True)
        return not torch.equal(loaded["weights"], state["weights"])  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - whatever torch raises, it has noticed
        return False


def test_a_checkpoint_cut_off_anywhere_is_noticed(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 4, {"a": torch.arange(40.0)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpointError):
            load_checkpoint(tmp_path, 4)


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    path = checkpoint_path(tmp_path, 4)
    path.parent.mkdir()
    path.mkdir()
    with pytest.raises(ResumeError, match="cannot be read: it is no regular file") as refusal:
        load_checkpoint(tmp_path, 4)
    assert not isinstance(refusal.value, DamagedCheckpointError)


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    checkpoint_path(tmp_path, 2).parent.mkdir()
    torch.save({"format_version": 99}, checkpoint_path(tmp_path, 2))
    with pytest.raises(ResumeError, match="checkpoint format 99; this release reads 3"):
        load_checkpoint(tmp_path, 2)
