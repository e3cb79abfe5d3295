"""Name the files of each arm on the command line: `NAME=FILE[,FILE...]`, where a FILE may be a quoted pattern."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class ArmFiles:
    """The files of one arm, one a draw, in the order given; those of a pattern in the order of their numbers."""

    name: str
    files: tuple[Path, ...]


def expanded(text: str) -> tuple[Path, ...]:
    """The files that a path or a pattern (*, ?, [...]) names. Raises ValueError where there is none.

    draw-10 comes after draw-2. A file whose own name looks like a pattern is taken as it is.
    """
    if Path(text).exists():
        return (Path(text),)
    if not glob.has_magic(text):
        raise ValueError(f"{text!r} does not exist")
    found = sorted(glob.glob(text), key=_natural)  # noqa: PTH207 - Path.glob takes no absolute pattern
    # `moco*` names predictions, not the sidecars that stand beside them.
    files = tuple(Path(name) for name in found if not (name.endswith(".json") and name[:-5] in found))
    if not files:
        raise ValueError(f"no file matches {text!r}")
    return files


class FilesType(click.ParamType[tuple[Path, ...]]):
    """A file or pattern of the command line."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Path, ...]:
        """Expand it."""
        if isinstance(value, tuple):
            return value
        try:
            return expanded(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ArmFilesType(click.ParamType[ArmFiles]):
    """NAME=FILE[,FILE...] of the command line."""

    name = "arm"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> ArmFiles:
        """Split it and expand the files. A comma in the name of a single file that exists does not split it."""
        if isinstance(value, ArmFiles):
            return value
        name, equals, text = str(value).partition("=")
        if not (equals and name.strip() and text):
            self.fail(f"{value!r} is not NAME=FILE[,FILE...]", param, ctx)
        parts = [text] if Path(text).exists() else text.split(",")
        try:
            return ArmFiles(name.strip(), tuple(file for part in parts for file in expanded(part)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts numbers within names by their size."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
