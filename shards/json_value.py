"""Read values of JSON by their type: a value of another kind is refused by the path of its key."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

_Read = TypeVar("_Read")


class JsonError(ValueError):
    """JSON that holds other keys or values than it should. The message names the key."""


@dataclass(frozen=True)
class JsonValue:
    """A value read from JSON. key: the path of keys to it, such as `labels.Edema.n`; empty for the whole."""

    value: Any
    key: str = ""

    def wrong(self, wanted: str) -> JsonError:
        """Make the error of a value that is not what is wanted."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return JsonError(f"{self.key or 'the whole'} is {shown}, not {wanted}")

    def fields(self) -> dict[str, "JsonValue"]:
        """Read an object, a value a key. Raises JsonError for anything else."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return {str(key): JsonValue(one, self._path(key)) for key, one in self.value.items()}

    def items(self) -> tuple["JsonValue", ...]:
        """Read a list. Raises JsonError for anything else."""
        if not isinstance(self.value, list | tuple):
            raise self.wrong("a list")
        return tuple(JsonValue(one, f"{self.key}[{number}]") for number, one in enumerate(self.value))

    def at(self, key: str) -> "JsonValue":
        """Return the value of an object's key, which may be null. Raises JsonError where the key is missing."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        if key not in self.value:
            raise JsonError(f"the key {self._path(key)} is missing")
        return JsonValue(self.value[key], self._path(key))

    def find(self, *keys: str) -> "JsonValue | None":
        """Follow a path of keys. None where one is missing or null, or the value before it is no object."""
        found = self
        for key in keys:
            if not isinstance(found.value, dict) or found.value.get(key) is None:
                return None
            found = found.at(key)
        return found

    def optional(self, key: str, read: "Callable[[JsonValue], _Read]") -> _Read | None:
        """Read the value of a key; None where it is missing or null."""
        found = self.find(key) if isinstance(self.value, dict) else self.at(key)
        return None if found is None else read(found)

    def nullable(self, key: str, read: "Callable[[JsonValue], _Read]") -> _Read | None:
        """Read the value of a key that must be there; None where it is null."""
        found = self.at(key)
        return None if found.value is None else read(found)

    def text(self) -> str:
        """Read text. Raises JsonError for anything else."""
        if not isinstance(self.value, str):
            raise self.wrong("text")
        return self.value

    def whole(self) -> int:
        """Read a whole number. Raises JsonError for anything else."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.wrong("a whole number")
        return self.value

    def number(self) -> float:
        """Read a number. Raises JsonError for anything else, also for a whole number that is beyond any float."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wrong("a number")
        try:
            float(self.value)
        except OverflowError as error:
            raise self.wrong("a number") from error
        return self.value

    def flag(self) -> bool:
        """Read true or false. Raises JsonError for anything else."""
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def each(self, read: "Callable[[JsonValue], _Read]") -> dict[str, _Read]:
        """Read an object, all of its values alike."""
        return {key: read(one) for key, one in self.fields().items()}

    def texts(self) -> tuple[str, ...]:
        """Read a list of texts."""
        return tuple(one.text() for one in self.items())

    def wholes(self) -> dict[str, int]:
        """Read an object of whole numbers."""
        return self.each(JsonValue.whole)

    def _path(self, key: str) -> str:
        return f"{self.key}.{key}" if self.key else str(key)


def parse_json(content: bytes | str) -> JsonValue:
    """Parse a file's content. Raises JsonError where it is no JSON."""
    try:
        return JsonValue(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise JsonError(f"not JSON: {error}") from error
