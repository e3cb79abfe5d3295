"""Write and read the checkpoints of a run: whole or not at all, the newest two kept, no code in them is run.

A checkpoint is a mapping of tensors and plain values; its keys are the trainer's and the recorder's.
"""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.optim.optimizer import StateDict

from shards.durable import write_atomically
from shards.errors import ResumeError
from training.backbones.torch_files import damage_of, read_torch_file
from training.errors import DamagedCheckpointError, WeightsError
from training.runs.files import CHECKPOINTS

FORMAT_VERSION = 3

_log = logging.getLogger(__name__)

_PUT_BACK = "Put a copy of the run's own checkpoint back under this name, or give another --output."
_COUNTS = {"step": (0, 2**53), "epoch": (0, 2**53), "threads": (1, 2**31 - 1), "processes": (1, 2**31 - 1)}
"""Keys of whole numbers, and their least and largest value."""
_KEPT = 2
_NAME = re.compile(r"step-(\d{8,})\.pt")


class RandomState(TypedDict):
    """State of torch's random generators: of the CPU, and of the GPU that the process trains on, if it does."""

    cpu: Tensor
    cuda: list[Tensor]


class TrainingState(TypedDict):
    """State of any training. step, epoch: done so far. threads: with another number of them the bits are others."""

    step: int
    epoch: int
    threads: int
    optimizer: StateDict
    scaler: dict[str, float]
    rng: RandomState


def checkpoint_path(run: Path, step: int) -> Path:
    """Return the path of the checkpoint after `step` steps: checkpoints/step-00001234.pt."""
    return run / CHECKPOINTS / f"step-{step:08d}.pt"


def checkpoint_steps(run: Path) -> list[int]:
    """List the steps of the checkpoints that are there, ascending. A file under its final name is whole."""
    if not (run / CHECKPOINTS).is_dir():
        return []
    names = (_NAME.fullmatch(path.name) for path in (run / CHECKPOINTS).iterdir())
    return sorted(int(name[1]) for name in names if name)


def save_checkpoint(run: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write the checkpoint of a step: temporary name, fsync, rename. Returns its path.

    state: tensors, numbers, strings, None, and lists and dicts of them, so that weights_only=True reads it back.
    Raises OSError where the disk does not take it; the checkpoints before are as they were.
    """
    path = checkpoint_path(run, step)
    path.parent.mkdir(exist_ok=True)
    with write_atomically(path) as file:
        try:
            torch.save({"format_version": FORMAT_VERSION, **state}, file)
        except RuntimeError as error:
            # torch's own writer fails over the half-written file, and hides why it is one.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
    return path


def load_checkpoint(run: Path, step: int) -> dict[str, Any]:
    """Read the checkpoint of a step onto the CPU.

    Raises DamagedCheckpointError if its bytes are not those that were written, ResumeError if it is of another format
    or may not be read.
    """
    check_checkpoint(run, step)
    path = checkpoint_path(run, step)
    try:
        state = read_torch_file(path, "a checkpoint")
    except WeightsError as error:
        raise ResumeError(f"{path} is whole, but nothing that this release reads. {error}") from error
    version = state.get("format_version") if isinstance(state, dict) else None
    if version != FORMAT_VERSION:
        raise ResumeError(f"{path}: checkpoint format {version!r}; this release reads {FORMAT_VERSION}.")
    return dict(state)


def check_checkpoint(run: Path, step: int) -> None:
    """Raise DamagedCheckpointError if the bytes of a checkpoint are not those written, ResumeError if unreadable."""
    path = checkpoint_path(run, step)
    damage = _damage(path)
    if damage is not None:
        raise DamagedCheckpointError(
            f"{path} is damaged: {damage}. `cxr-train pretrain` sets it aside and resumes from the one before it."
        )


def refuse_other_counts(path: Path, state: Mapping[str, Any]) -> None:
    """Raise ResumeError where a count of a checkpoint is no whole number, or none that can be."""
    for key, (least, most) in _COUNTS.items():
        if key in state and not (type(state[key]) is int and least <= state[key] <= most):
            raise ResumeError(f"{path}: its key {key} holds no number that this release writes there. {_PUT_BACK}")


@contextlib.contextmanager
def state_of(run: Path, step: int) -> Iterator[None]:
    """Take up the state of a checkpoint in the block. Raises ResumeError where it is that of something else."""
    try:
        yield
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
        said = (str(error).strip().splitlines() or [""])[0][:200]
        raise ResumeError(
            f"{checkpoint_path(run, step)} does not hold the state of this training ({type(error).__name__}: {said}). "
            f"{_PUT_BACK}"
        ) from error


def set_aside(run: Path, step: int) -> Path:
    """Rename a damaged checkpoint to step-....pt.damaged, which nothing reads or removes; returns that path.

    One that was damaged at the same step before is replaced.
    """
    path = checkpoint_path(run, step)
    return path.replace(path.with_name(f"{path.name}.damaged"))


def newest_whole(run: Path, *, reading: bool = False) -> int | None:
    """Find the step of the newest checkpoint that is whole; None where the run has no checkpoint yet.

    Newer ones that are damaged are named on stderr and set aside (`set_aside`), or left as they are where the caller is
    only `reading`: that may be another person, while the run is alive. Raises ResumeError, and leaves every
    file as it is, if none is whole: a run that has lost its checkpoints must not restart unasked.
    """
    steps = checkpoint_steps(run)
    complaints: dict[int, str] = {}
    for step in reversed(steps):
        try:
            check_checkpoint(run, step)
        except DamagedCheckpointError as error:
            complaints[step] = str(error).split(". ")[0]
            continue
        for damaged, complaint in complaints.items():
            if reading:
                what_now = f"The checkpoint before it, of step {step}, is read."
            else:
                what_now = (
                    f"It is kept as {set_aside(run, damaged).name}; the run resumes from the checkpoint before it, of "
                    f"step {step}, and does the steps after it again."
                )
            _log.warning("%s. %s", complaint, what_now)
        return step
    if steps:
        raise ResumeError(
            f"No checkpoint of {run} is whole. {'. '.join(complaints.values())}. Put a copy of one back under its name "
            "if there is a backup; else begin again in another --output. Have the disk checked first."
        )
    return None


def prune_checkpoints(run: Path, newest: int) -> None:
    """Remove all but the checkpoint of step `newest` and the one before it.

    Later ones go too: they are leftovers of a run that was resumed from an earlier checkpoint, and would push out
    its own.
    """
    steps = checkpoint_steps(run)
    kept = [step for step in steps if step <= newest][-_KEPT:]
    for step in set(steps) - set(kept):
        checkpoint_path(run, step).unlink(missing_ok=True)
    for leftover in (run / CHECKPOINTS).glob(".step-*.tmp"):  # of a process that was killed while it wrote
        leftover.unlink(missing_ok=True)


def _damage(path: Path) -> str | None:
    """Find damage in the bytes of a checkpoint, or None. Raises ResumeError if it is not readable."""
    try:
        return damage_of(path, checksums=True)
    except OSError as error:
        raise ResumeError(f"{path} cannot be read: {error.strerror or error}.") from error
