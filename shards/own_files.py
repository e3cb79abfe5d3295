"""Tell files and folders of our own from other people's: the one rule of every command that writes.

A folder is empty, or holds a marker of our own, or is refused; only files whose names we make are ever removed.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.tmp")


def leftover_of(path: Path) -> str | None:
    """Name of the file that a killed writer was at (`shards.durable.write_atomically`), None for any other path."""
    match = _LEFTOVER.fullmatch(path.name)
    return match["name"] if match and path.is_file() and not path.is_symlink() else None


def leftovers(folder: Path, ours: Callable[[str], bool]) -> Iterator[Path]:
    """Files that killed writers left in a folder, of those names that `ours` says we make there."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = leftover_of(path)
        if name is not None and ours(name):
            yield path


def stranger(folder: Path, ours: Callable[[str], bool] = lambda name: False) -> Path | None:
    """The first entry of a folder that a killed beginning of our own cannot have left; None in an empty folder.

    ours: names that may be there before the marker is. Leftovers of our writers of any name are none.
    """
    if not folder.is_dir():
        return None
    return next((path for path in sorted(folder.iterdir()) if not ours(path.name) and leftover_of(path) is None), None)
