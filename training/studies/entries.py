"""Read a YAML file value by value, so that an error names the file and the path of the key."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from shards.input_files import load_yaml, read_text
from training.errors import StudyError

_Value = TypeVar("_Value")
_LARGEST = 1 << 20
_NAME = re.compile(r"[a-z0-9_.][a-z0-9_.-]*")


@dataclass(frozen=True)
class Entry:
    """A value of a YAML file and where it stands. key: the path of keys, such as `targets[1].draws`."""

    value: Any
    file: Path
    key: str

    def error(self, what: str) -> StudyError:
        """Make the error of this entry: file, key path and what is wrong."""
        return StudyError(f"{self.file}: {self.key}: {what}" if self.key else f"{self.file}: {what}")

    def wrong(self, wanted: str) -> StudyError:
        """Make the error of a value that is not what is wanted."""
        return self.error(f"{shown(self.value)} is not {wanted}")

    def fields(self, required: Collection[str] = (), optional: Collection[str] | None = ()) -> dict[str, "Entry"]:
        """Read a mapping, an entry a key. optional None: any other key is taken too.

        Raises StudyError for anything but a mapping, keys that are no text, unknown keys and missing ones.
        """
        if not isinstance(self.value, dict):
            raise self.wrong("a mapping")
        found: dict[str, Entry] = {}
        for key, value in self.value.items():
            if not isinstance(key, str):
                raise self.error(f"the key {shown(key)} is not text: put it in quotes")
            found[key] = Entry(value, self.file, f"{self.key}.{key}" if self.key else key)
        unknown = [] if optional is None else sorted(set(found) - {*required, *optional})
        if unknown:
            known = ", ".join([*required, *(optional or ())])
            raise found[unknown[0]].error(f"there is no such key; those of this place are {known}")
        missing = [key for key in required if key not in found]
        if missing:
            raise self.error(f"the key {missing[0]} is missing")
        return found

    def items(self, *, empty: bool = False) -> Iterator["Entry"]:
        """Read a list, an entry an item. Raises StudyError for anything else, and for an empty list unless `empty`."""
        if not isinstance(self.value, list) or not (self.value or empty):
            raise self.wrong("a list" if empty else "a list of at least one value")
        for number, value in enumerate(self.value):
            yield Entry(value, self.file, f"{self.key}[{number}]")

    def text(self) -> str:
        """Read text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong("text")
        return self.value

    def whole(self, least: int = 0, most: int = 2**53) -> int:
        """Read a whole number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < least:
            raise self.wrong(f"a whole number of at least {least}")
        if self.value > most:
            raise self.wrong(f"a whole number of at most {most}")
        return self.value

    def seed(self) -> int:
        """Read a seed."""
        return self.whole(0, 2**63 - 1)

    def number(self, above: float, most: float) -> float:
        """Read a number above one bound and at most another."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not above < self.value <= most:
            raise self.wrong(f"a number above {above:g} and at most {most:g}")
        return float(self.value)

    def choice(self, choices: Collection[str]) -> str:
        """Read one of a few words."""
        if not isinstance(self.value, str) or self.value not in choices:
            raise self.wrong(f"one of {', '.join(choices)}")
        return self.value

    def texts(self) -> tuple[str, ...]:
        """Read a list of different texts."""
        return self.distinct([entry.text() for entry in self.items()])

    def choices(self, choices: Collection[str]) -> tuple[str, ...]:
        """Read a list of different words, each one of a few."""
        return self.distinct([entry.choice(choices) for entry in self.items()])

    def name(self) -> str:
        """Read a text that is part of a folder's name."""
        return self._checked_name(self.text())

    def named(self) -> dict[str, "Entry"]:
        """Read a mapping of such names, at least one, to values of any kind."""
        found = self.fields(optional=None)
        if not found:
            raise self.error("at least one is needed")
        for name, value in found.items():
            value._checked_name(name)
        return found

    def _checked_name(self, name: str) -> str:
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise self.error(f"{name!r} is no name: it is part of a folder's, of a-z, 0-9, _, . and -")
        return name

    def distinct(self, values: list[_Value]) -> tuple[_Value, ...]:
        """Check that no value occurs twice."""
        for number, value in enumerate(values):
            if value in values[:number]:
                raise self.error(f"{shown(value)} stands there twice")
        return tuple(values)


def read_yaml(path: Path) -> Entry:
    """Read a YAML file. Raises StudyError where there is none, it is no YAML, or a key stands twice in a mapping."""
    try:
        text = read_text(path, _LARGEST)
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise StudyError(f"{path} cannot be read: {said}") from error
    try:
        return Entry(load_yaml(text, _StrictLoader), path, "")
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is not YAML: {error}") from error


def shown(value: object) -> str:
    """A value as an error shows it: as YAML reads it, cut where it is long."""
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, which refuses a key that stands twice in one mapping."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: list[Any] = []
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.append(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


def _construct(loader: _StrictLoader, node: yaml.MappingNode) -> Iterator[dict[Any, Any]]:
    made: dict[Any, Any] = {}
    yield made
    made.update(_mapping(loader, node))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct)
