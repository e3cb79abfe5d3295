"""List and clear the cache of embeddings. No torch here: a person wants an answer at once.

An entry is a Zarr group that `training.downstream.features.cached_features` wrote. Only what carries such a name and is
such a group is ever shown or removed.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"(?P<dataset>[A-Za-z0-9_-]+)-(?P<split>train|valid|test)-[0-9a-f]{32}\.zarr")
_LEFT_BEHIND = re.compile(rf"\.{_NAME.pattern}\.[0-9a-f]{{32}}\.(tmp|old)")


@dataclass(frozen=True)
class CacheEntry:
    """One group of embeddings. size: bytes on disk. unfinished: left behind by a command that was killed."""

    path: Path
    dataset: str
    split: str
    size: int
    unfinished: bool


def default_cache() -> Path:
    """Folder of cached embeddings: $CXR_CACHE, else cxr in $XDG_CACHE_HOME, else ~/.cache/cxr."""
    own = os.environ.get("CXR_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxr"


def entry_name(dataset: str, split: str, digest: str) -> str:
    """Name of an entry. digest: 32 hexadecimal digits of everything that the features depend on."""
    return f"{dataset}-{split}-{digest}.zarr"


def cache_entries(cache: Path) -> list[CacheEntry]:
    """All entries, by name; none where there is no such folder."""
    return list(_entries(cache)) if cache.is_dir() else []


def clear_cache(cache: Path) -> list[CacheEntry]:
    """Remove all entries, the unfinished ones too, and return what was removed. Anything else in the folder stays."""
    entries = cache_entries(cache)
    for entry in entries:
        shutil.rmtree(entry.path)
    return entries


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder; files that vanish meanwhile do not count."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                total += (Path(parent) / file).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _entries(cache: Path) -> Iterator[CacheEntry]:
    for path in sorted(cache.iterdir()):
        left_behind = _LEFT_BEHIND.fullmatch(path.name)
        match = left_behind or _NAME.fullmatch(path.name)
        if match is None or path.is_symlink() or not path.is_dir():
            continue
        if left_behind or (path / "features" / "zarr.json").is_file():
            yield CacheEntry(path, match["dataset"], match["split"], folder_size(path), left_behind is not None)
