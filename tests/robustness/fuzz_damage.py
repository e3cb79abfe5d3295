"""Damage a file in ways that follow from a generator of random numbers: its bytes, or the values that it holds."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Generator = np.random.Generator

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**70, -(2**70), 10**400, 0.5, 1e308, float("inf"), float("nan")),
    *("", " ", "x", "../../x", "/dev/zero", "a" * 5000, "\x00", "ä\u202e", "9" * 30, "nan", "true", "none", "1e999"),
    *([], {}, [[]], [1, "a", None], {"a": 1}, {"": {}}, [0] * 300, {str(n): n for n in range(300)}),
)
_CONTENTS = (
    *(b"", b"\n", b"\0" * 1000, b"\xff\xfe\x00\x9f" * 50, b"[" * 20_000, b"{" * 20_000, b"null", b"[]", b"{}", b"3"),
    *(b"<!DOCTYPE html><title>404</title>", b"PK\x03\x04", b"\x80\x02.", b"PAR1PAR1", b"a: &a [*a]\n", b"- " * 5000),
)
_NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"1180591620717411303424", b"9" * 400, b"0x10", b"1_000", b"", b"null")


def damage(path: Path, random: Generator) -> None:
    """Damage a file once to three times, or put something else in its place."""
    if random.random() < 0.03:
        return replace(path, random)
    for _ in range(int(random.integers(1, 4))):
        content = path.read_bytes()
        structured = _STRUCTURES.get(path.suffix)
        if structured is not None and random.random() < 0.6:
            changed = structured(content, random)
        else:
            changed = changed_bytes(content, random)
        path.write_bytes(changed[: 1 << 26])
    return None


def replace(path: Path, random: Generator) -> None:
    """Put something that is no file in its place."""
    path.unlink()
    kind = int(random.integers(5))
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to("/dev/zero")
    elif kind == 3:
        path.symlink_to(path)


def changed_bytes(content: bytes, random: Generator) -> bytes:
    """Flip bits, cut, blank, insert, repeat or leave out a part, or take another content."""
    data, kind = bytearray(content), int(random.integers(9))
    size = len(data)
    start = int(random.integers(size + 1))
    end = min(size, start + int(2 ** random.uniform(0, 12)))
    if kind <= 1 and size:
        for place in random.integers(size, size=int(random.integers(1, 9))):
            data[place] ^= 1 << int(random.integers(8))
    elif kind == 2:
        del data[start:]
    elif kind == 3:
        data[start:end] = bytes(end - start)
    elif kind == 4:
        data[start:end] = random.integers(256, size=end - start, dtype=np.uint8).tobytes()
    elif kind == 5:
        data[start:start] = random.integers(256, size=int(random.integers(1, 64)), dtype=np.uint8).tobytes()
    elif kind == 6:
        data[start:start] = data[start:end] * int(random.integers(1, 5))
    elif kind == 7:
        del data[start:end]
    else:
        return _CONTENTS[int(random.integers(len(_CONTENTS)))]
    return bytes(data)


def changed_text(content: bytes, random: Generator) -> bytes:
    """Put another number, a repeated line or no line in a place of a text."""
    if random.random() < 0.5:
        places = [match.span() for match in re.finditer(rb"[0-9.]+", content)]
        if places:
            start, end = places[int(random.integers(len(places)))]
            return content[:start] + _NUMBERS[int(random.integers(len(_NUMBERS)))] + content[end:]
    lines = content.split(b"\n")
    place = int(random.integers(len(lines)))
    if random.random() < 0.5:
        lines.insert(place, lines[int(random.integers(len(lines)))])
    else:
        del lines[place]
    return b"\n".join(lines)


def changed_json(content: bytes, random: Generator) -> bytes:
    """Change a value of JSON; where there is none, a place of the text."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return changed_text(content, random)
    return json.dumps(changed_value(value, random)).encode()


def changed_yaml(content: bytes, random: Generator) -> bytes:
    """Change a value of YAML; where there is none, a place of the text."""
    try:
        value = yaml.safe_load(content[:50_000])
        return yaml.safe_dump(changed_value(value, random), allow_unicode=True).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
        return changed_text(content, random)


def changed_lines(content: bytes, random: Generator) -> bytes:
    """Change a line of JSON."""
    lines = content.split(b"\n")
    place = int(random.integers(len(lines)))
    lines[place] = changed_json(lines[place], random)
    return b"\n".join(lines)


def changed_value(value: Any, random: Generator) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Replace, leave out, repeat or rename a value at a random place below this one."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        keys = list(value)
        key = keys[int(random.integers(len(keys)))]
        kind = random.random()
        if kind < 0.7:
            return {**value, key: changed_value(value[key], random)}
        rest = {name: one for name, one in value.items() if name != key}
        if kind < 0.85:
            return rest
        other = keys[int(random.integers(len(keys)))]
        return {**rest, random.choice([f"{key}x", "", "../x"]): value[key], other: value[key]}
    if isinstance(value, list) and value and random.random() < 0.85:
        place = int(random.integers(len(value)))
        kind = random.random()
        if kind < 0.7:
            return [*value[:place], changed_value(value[place], random), *value[place + 1 :]]
        return [*value[:place], *value[place + 1 :]] if kind < 0.85 else [*value, value[place]]
    return _VALUES[int(random.integers(len(_VALUES)))]


_STRUCTURES: dict[str, Callable[[bytes, Generator], bytes]] = {
    ".json": changed_json,
    ".yaml": changed_yaml,
    ".jsonl": changed_lines,
    ".csv": changed_text,
}
