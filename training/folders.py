"""Refuse folders that a command would overwrite."""

from pathlib import Path

from training.errors import RunError


def refuse_filled(folder: Path) -> None:
    """Raise RunError if the folder, which a command would create, exists and is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is there and not empty. Give another folder: nothing is ever overwritten.")
