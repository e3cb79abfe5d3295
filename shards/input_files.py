"""Read files: regular ones of a sensible size, YAML and JSON that do not grow when read, and say which one hangs.

A pipe would be waited for, a device has no end, and a few lines of YAML can stand for gigabytes. A file system over a
network that hangs gives no error, only silence: a file of which nothing has come for a minute is named in the log, so
that a person need not guess; the program waits on, since such a file system often comes back.
"""

import errno
import io
import json
import logging
import os
import stat
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

LARGEST_FILE = 2 << 30
LARGEST_YAML = 100_000
"""Characters. PyYAML reads some hundred thousand a second."""
MOST_NODES = 20_000
"""Of a YAML file, each counted as often as aliases stand for it."""
STALL_VARIABLE = "CXR_STALL_SECONDS"
"""Environment variable: seconds of silence after which a file is named."""

_USUAL_S, _LEAST_S, _MOST_BETWEEN_S = 60.0, 0.05, 5.0

_log = logging.getLogger(__name__)


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading. Raises OSError for anything else, without waiting for it."""
    with Reading(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file (a folder, a pipe or a device)", str(path))
    return io.BufferedReader(WatchedFile(path, descriptor))


def read_regular(path: Path, most: int = LARGEST_FILE) -> bytes:
    """Read a regular file of at most `most` bytes. Raises OSError for anything else."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}", str(path))
        return file.read()


def refuse_special_files(folder: Path) -> None:
    """Raise OSError for the first entry below a folder, such as a Zarr group, that is no regular file and no folder."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            mode = (Path(parent) / name).stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                path = str(Path(parent) / name)
                raise OSError(errno.EINVAL, "it is no regular file (a pipe or a device)", path)


def read_text(path: Path, most: int = LARGEST_FILE) -> str:
    """Read a regular file in UTF-8. Raises OSError, and UnicodeDecodeError for other text."""
    return read_regular(path, most).decode("utf-8")


def load_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Read YAML within a budget. Raises yaml.YAMLError for what is no YAML, too long, too deep or too much."""
    if len(text) > LARGEST_YAML:
        raise yaml.YAMLError(f"it has {len(text):,} characters, more than {LARGEST_YAML:,}")
    reader = loader(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        _refuse_too_much(node)
        return reader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except (ValueError, OverflowError) as error:  # such as a number of 5,000 digits
        raise yaml.YAMLError(str(error)) from error
    finally:
        reader.dispose()


def load_json(content: bytes | str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Read JSON. Raises ValueError for what is none, also where it is nested too deep."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refuse_too_much(root: yaml.Node) -> None:
    """Raise YAMLError for more nodes than the budget, aliases followed, and for one that contains itself."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in open_nodes:
            raise yaml.YAMLError("an alias stands inside the value that it stands for")
        open_nodes.add(id(node))
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        total = 1 + sum(size(child) for child in children)
        open_nodes.remove(id(node))
        if total > MOST_NODES:
            raise yaml.YAMLError(f"it has more than {MOST_NODES:,} values, aliases (*name) followed")
        sizes[id(node)] = total
        return total

    size(root)


def stall_seconds() -> float:
    """Return the seconds of silence after which a file is named: CXR_STALL_SECONDS, 60 where that is no number."""
    try:
        return max(float(os.environ.get(STALL_VARIABLE, _USUAL_S)), _LEAST_S)
    except ValueError:
        return _USUAL_S


class Reading:
    """Context of one call that may wait for a file system. It costs half a microsecond, and so suits every read.

    A file that does not answer is named after a minute, then after 2, 4, 8, ... of them, and once more when it answers.
    """

    __slots__ = ("_told", "path", "since")

    def __init__(self, path: str | Path) -> None:
        self.path, self.since, self._told = path, 0.0, 0

    def __enter__(self) -> None:
        self.since = time.monotonic()
        _open[id(self)] = self
        if _watch.thread is None:
            _watch.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del _open[id(self)]
        if self._told and kind is None:
            _log.warning("%s has answered after %.3g s.", self.path, time.monotonic() - self.since)

    def tell(self, now: float, limit: float) -> None:
        """Log that nothing has come, if it is time to."""
        silent = now - self.since
        if silent >= limit * 2**self._told:
            self._told += 1
            _log.warning(
                "%s has not answered for %.3g s: the file system that it is on may hang. Waiting on; see whether `ls` "
                "or `cat` of it hangs too.",
                self.path,
                silent,
            )


class WatchedFile(io.FileIO):
    """A file each of whose reads is a `Reading`. descriptor: of the file, where it is open already."""

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        with Reading(path):
            super().__init__(path if descriptor is None else descriptor, "rb")
        self._path = path

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        """Read into the buffer."""
        with Reading(self._path):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """Read the rest."""
        with Reading(self._path):
            return super().readall()


def open_watched(path: Path) -> io.BufferedReader:
    """Open a file for reading, as `path.open("rb")` does."""
    return io.BufferedReader(WatchedFile(path))


def read_watched(path: Path) -> bytes:
    """Read a file, as `path.read_bytes()` does."""
    with Reading(path):
        return path.read_bytes()


class _Watch:
    """State: the thread that looks at the calls under way; None where none was needed yet, and in a forked child."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        self.thread = threading.Thread(target=_look, name="stalls", daemon=True)
        self.thread.start()

    def forget(self) -> None:
        self.thread = None
        _open.clear()


_open: dict[int, Reading] = {}
"""The calls under way, of all threads."""
_watch = _Watch()
os.register_at_fork(after_in_child=_watch.forget)


def _look() -> None:
    while True:
        limit = stall_seconds()
        time.sleep(min(limit / 4, _MOST_BETWEEN_S))
        now = time.monotonic()
        for reading in list(_open.values()):
            reading.tell(now, limit)
