"""Every command and every kind of fault: which test tries it, or why there is nothing to try.

    python -m tests.robustness.matrix

prints the table as docs/robustness.md holds it. A command without a row, or an empty cell, fails the tests.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from click import Group

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from training.cli.main import main as cxr_train

KINDS = (
    "other people's files",
    "integrity",
    "datasets of others",
    "special files",
    "files of a run",
    "full disk",
    "patients' data",
    "waiting",
)


@dataclass(frozen=True)
class Tried:
    """A test of `tests/robustness` names the command and tries it."""

    module: str


@dataclass(frozen=True)
class Through:
    """The command reads or writes by a function that a test of this module tries, and in no other way."""

    function: str
    module: str


@dataclass(frozen=True)
class Nothing:
    """There is nothing to try, for this reason."""

    reason: str


Cell = Tried | Through | Nothing
_TRIED = dict(
    zip(
        "12345678",
        (
            *("test_other_peoples_files", "test_integrity", "test_foreign_datasets", "test_special_files"),
            *("test_run_files", "test_full_disks", "test_patients_data", "test_waiting"),
        ),
        strict=True,
    )
)
_THROUGH = {
    "d": Through("open_dataset", "test_foreign_datasets"),
    "w": Through("load_backbone", "test_integrity"),
    "m": Through("load_model", "test_integrity"),
    "s": Through("read_regular", "test_special_files"),
    "n": Through("click's numbers", "test_numbers"),
    "f": Through("write_atomically", "test_full_disks"),
    "g": Through("Group.main", "test_waiting"),
    "q": Through("select", "test_patients_data"),
    "b": Through("build-shards", "test_patients_data"),
    "l": Through("read_seen", "test_labels_and_lists"),
}
_NOTHING = {
    "-w": Nothing("reads no weights"),
    "-d": Nothing("opens no dataset"),
    "-r": Nothing("reads no run"),
    "-f": Nothing("writes one file that is named; a folder in its place is refused"),
    "-o": Nothing("writes nothing"),
    "-p": Nothing("writes no patient"),
    "-s": Nothing("reads nothing that is named"),
    "-j": Nothing("writes JSON on request, by write_atomically"),
    "-n": Nothing("is one download, which needs the network"),
    "-e": Nothing("its output repeats a result's counts and names no patient"),
}

_ROWS = {
    "cxr-ingest make-phantom": "1 -w -d -s -r 6 -p g",
    "cxr-ingest build-shards": "1 -w -d 4 -r 6 7 8",
    "cxr-ingest finalize": "1 -w d -s -r f b g",
    "cxr-ingest verify": "-j -w 3 s -r -j q 8",
    "cxr-ingest info": "-o -w 3 s -r -o -p 8",
    "cxr-ingest preview": "-f -w d s -r 6 q 8",
    "cxr-train pretrain": "1 2 d 4 5 6 q g",
    "cxr-train probe": "1 2 d 4 n 6 q g",
    "cxr-train finetune": "1 2 d s 5 6 q g",
    "cxr-train import": "1 2 -d 4 -r 6 l g",
    "cxr-train export": "1 2 d s w 6 7 g",
    "cxr-train bench-loader": "-j -w d s -r 6 -p 8",
    "cxr-train cache": "-o -w -d s -r -o -p g",
    "cxr-train recipes": "-o -w -d -s -r -o -p g",
    "cxr-train sweep": "1 w d 4 n 6 q g",
    "cxr-train fetch-weights": "-n -n -d -s -r -n -p g",
    "cxr-eval embed": "1 2 d 4 w 6 q 8",
    "cxr-eval predict": "-f 2 d s m 6 7 8",
    "cxr-eval thresholds": "-f -w d s -r 6 q g",
    "cxr-eval bootstrap": "-f -w d 4 -r 6 7 g",
    "cxr-eval calibration": "-f -w d s -r 6 -e g",
    "cxr-eval report": "-f -w -d 4 5 6 -e g",
    "cxr-eval compare-runs": "-f -w -d s 5 6 -p g",
    "cxr-eval study": "1 m d 4 5 6 q g",
}


def commands() -> list[str]:
    """Every command that a person can type, as click knows them."""
    programs: dict[str, Group] = {"cxr-ingest": cxr_ingest, "cxr-train": cxr_train, "cxr-eval": cxr_eval}
    return [f"{program} {name}" for program, group in programs.items() for name in group.commands]


def cells(command: str) -> dict[str, Cell]:
    """The cells of a command by kind. Raises KeyError for a command without a row, ValueError for an empty cell."""
    marks = _ROWS[command].split()
    found: dict[str, Cell] = {}
    for kind, mark in zip(KINDS, marks, strict=True):
        found[kind] = Tried(_TRIED[mark]) if mark in _TRIED else _THROUGH[mark] if mark in _THROUGH else _NOTHING[mark]
    return found


def table() -> str:
    """The table in Markdown, with notes below it for every sign."""
    reasons = list(_NOTHING.values())
    lines = [f"| command | {' | '.join(KINDS)} |", f"|---{'|---' * len(KINDS)}|"]
    lines += [
        f"| {command} | {' | '.join(_sign(cell, reasons) for cell in cells(command).values())} |"
        for command in commands()
    ]
    return "\n".join([*lines, "", *_notes(reasons)]) + "\n"


def _sign(cell: Cell, reasons: list[Nothing]) -> str:
    if isinstance(cell, Tried):
        return "tried"
    if isinstance(cell, Through):
        return f"`{cell.function}`"
    return f"- ({'abcdefghijklmnop'[reasons.index(cell)]})"


def _notes(reasons: list[Nothing]) -> Iterator[str]:
    yield "*tried*: a test of that kind runs the command. A name: the command reads or writes by that function, and a"
    yield "test of that kind tries it. What there is nothing to try for, and why:"
    yield ""
    for letter, one in zip("abcdefghijklmnop", reasons, strict=False):
        yield f"- ({letter}) {one.reason}"


if __name__ == "__main__":
    print(table(), end="")
