"""DALI's index of a WebDataset tar (.idx, version 1.2), byte for byte what DALI's own `wds2idx` writes.

One header line `v1.2 N`, then a line a sample: `ext offset size name` for each of its members.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shards.errors import CorruptShardError

VERSION = "v1.2"


@dataclass(frozen=True)
class IndexEntry:
    """One member of a sample: its extension, where its bytes start in the tar, how many, and its name."""

    extension: str
    offset: int
    size: int
    name: str


def index_bytes(samples: Iterable[Iterable[IndexEntry]]) -> bytes:
    """The index file's content for samples in storage order."""
    lines = [" ".join(f"{m.extension} {m.offset} {m.size} {m.name}" for m in sample) for sample in samples]
    return "\n".join([f"{VERSION} {len(lines)}", *lines, ""]).encode()


def write_index(file: BinaryIO, samples: Iterable[Iterable[IndexEntry]]) -> None:
    """Write the index of one shard."""
    file.write(index_bytes(samples))


def read_index(path: Path) -> list[list[IndexEntry]]:
    """The samples of an index file, in order. Raises CorruptShardError naming file and line."""
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    header = lines[0].split() if lines else []
    if len(header) != 2 or header[0] != VERSION or not header[1].isdigit():
        raise CorruptShardError(f"{path}: the first line is not '{VERSION} COUNT'")
    samples = []
    for number, line in enumerate(lines[1:], start=2):
        words = line.split(" ")
        if len(words) % 4 or not all(w.isdigit() for i, w in enumerate(words) if i % 4 in (1, 2)):
            raise CorruptShardError(f"{path}, line {number}: not a sequence of 'ext offset size name'")
        samples.append(
            [IndexEntry(words[i], int(words[i + 1]), int(words[i + 2]), words[i + 3]) for i in range(0, len(words), 4)]
        )
    if len(samples) != int(header[1]):
        raise CorruptShardError(f"{path}: the header says {header[1]} samples, {len(samples)} follow")
    return samples
