"""Checkpoints of a run: written whole or not at all, the newest two kept, read without running anything in them.

Flows in: a mapping of tensors and plain values. Flows out: the same mapping. Knows nothing of what it means.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shards.durable import write_atomically
from shards.errors import ResumeError
from training.weight_files import UNREADABLE

FOLDER = "checkpoints"
FORMAT_VERSION = 2

_KEPT = 2
_NAME = re.compile(r"step-(\d{8,})\.pt")


def checkpoint_path(run: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps lies: checkpoints/step-00001234.pt."""
    return run / FOLDER / f"step-{step:08d}.pt"


def checkpoint_steps(run: Path) -> list[int]:
    """Steps of the checkpoints that are there, ascending. A file under its final name is whole."""
    if not (run / FOLDER).is_dir():
        return []
    names = (_NAME.fullmatch(path.name) for path in (run / FOLDER).iterdir())
    return sorted(int(name[1]) for name in names if name)


def save_checkpoint(run: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write the checkpoint of a step: temporary name, fsync, rename. Returns its path.

    state: tensors, numbers, strings, None, and lists and dicts of them, so that weights_only=True reads it back.
    """
    path = checkpoint_path(run, step)
    path.parent.mkdir(exist_ok=True)
    with write_atomically(path) as file:
        torch.save({"format_version": FORMAT_VERSION, **state}, file)
    return path


def load_checkpoint(run: Path, step: int) -> dict[str, Any]:
    """Read the checkpoint of a step onto the CPU. Raises ResumeError if it is damaged or of another format."""
    path = checkpoint_path(run, step)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ResumeError(
            f"{path} cannot be read ({type(error).__name__}). Remove it to go on from the checkpoint before it."
        ) from error
    version = state.get("format_version") if isinstance(state, dict) else None
    if version != FORMAT_VERSION:
        raise ResumeError(f"{path}: checkpoint format {version!r}; this release reads {FORMAT_VERSION}.")
    return dict(state)


def prune_checkpoints(run: Path, newest: int) -> None:
    """Remove all but the checkpoint of step `newest` and the one before it.

    Later ones go too: they are leftovers of a run that went on from an earlier checkpoint, and would push out its own.
    """
    steps = checkpoint_steps(run)
    kept = [step for step in steps if step <= newest][-_KEPT:]
    for step in set(steps) - set(kept):
        checkpoint_path(run, step).unlink(missing_ok=True)
    for leftover in (run / FOLDER).glob(".step-*.tmp"):  # of a process that was killed while it wrote
        leftover.unlink(missing_ok=True)
