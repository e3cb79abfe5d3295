"""Ways to damage a file of weights or a list: what disks, copies and downloads do."""

from collections.abc import Callable
from pathlib import Path

from tests.robustness.commands import flip


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_text(path: Path) -> None:
    path.write_text("<!DOCTYPE html><title>404</title>" * 50)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped bit": lambda path: flip(path, 0.6),
    "cut": cut,
    "zeros": zeros,
    "empty": empty,
    "text": other_text,
}
