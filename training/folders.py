"""Make a folder that is whole or not there: refuse one that holds other files, and take up one that a kill left.

A marker of our own is written first and removed last; while it is there, files of the names that we make are ours.
"""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from shards.durable import write_json_atomically
from shards.own_files import leftovers, stranger
from training.errors import RunError

UNFINISHED = ".cxr-unfinished"
"""Marks a folder that is being written, or whose writer was killed."""


def refuse_filled(folder: Path, ours: Collection[str] = ()) -> None:
    """Raise RunError if the folder, which a command would create, holds anything that it has not left there itself.

    ours: names of the files that the command writes there, which a killed one may have left beside the marker.
    """
    marked = (folder / UNFINISHED).is_file()
    names = {UNFINISHED, *ours} if marked else set()
    found = stranger(folder, lambda name: name in names)
    if found is not None or (folder.exists() and not folder.is_dir()):
        raise RunError(f"{folder} is there and not empty. Give another folder: nothing is ever overwritten.")


@contextlib.contextmanager
def written_whole(folder: Path, ours: Collection[str]) -> Iterator[None]:
    """Write the files `ours` into a folder that `refuse_filled` has let pass.

    If the block fails, they are removed, and the folder too where nothing else is in it: the same command can be run
    again. After a kill, which removes nothing, it can too, by the marker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_json_atomically(folder / UNFINISHED, {"written_by": "cxr-train"})
        _remove(folder, ours)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(folder, (*ours, UNFINISHED))
            folder.rmdir()
        raise
    (folder / UNFINISHED).unlink(missing_ok=True)


def _remove(folder: Path, ours: Collection[str]) -> None:
    for path in [*(folder / name for name in ours), *leftovers(folder, lambda name: name in {*ours, UNFINISHED})]:
        path.unlink(missing_ok=True)
