"""Refuse folders that a command would overwrite."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from training.errors import RunError


def refuse_filled(folder: Path) -> None:
    """Raise RunError if the folder, which a command would create, exists and is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is there and not empty. Give another folder: nothing is ever overwritten.")


@contextlib.contextmanager
def emptied_on_failure(folder: Path) -> Iterator[None]:
    """Remove a folder that was empty or not there before, if the block fails: the same command can be run again."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
