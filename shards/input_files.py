"""Read files that a person names: regular ones of a sensible size, and YAML and JSON that do not grow when read.

A pipe would be waited for, a device has no end, and a few lines of YAML can stand for gigabytes.
"""

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

from shards.stalls import Reading

LARGEST_FILE = 2 << 30
LARGEST_YAML = 100_000
"""Characters. PyYAML reads some hundred thousand a second."""
MOST_NODES = 20_000
"""Of a YAML file, each counted as often as aliases stand for it."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading. Raises OSError for anything else, without waiting for it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file (a folder, a pipe or a device)", str(path))
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, which the caller closes


def read_regular(path: Path, most: int = LARGEST_FILE) -> bytes:
    """Read a regular file of at most `most` bytes. Raises OSError for anything else."""
    with Reading(path), open_regular(path) as file:
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
