"""Progress of long work: a bar on a terminal, one line a minute in a batch log."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Protocol

import click
from tqdm import tqdm

LOG_INTERVAL_S = 60.0

BYTES = "B"
"""The unit of `progress` whose counts are shown in larger units."""

Figure = str | float
"""A figure beside the rate."""


class Bar(Protocol):
    """Progress of one long piece of work."""

    def advance(self, n: int = 1, **figures: Figure) -> None:
        """Count n more units as done and show the figures (name=value) beside the rate."""


@contextlib.contextmanager
def progress(total: int | None, description: str, unit: str, initial: int = 0, *, shown: bool = True) -> Iterator[Bar]:
    """Show progress with rate and ETA: a bar on a terminal, one line a minute in a batch log or without a width.

    unit: a plural, or BYTES, whose counts are shown in kB, MB or GB. Writes to stderr, unless not `shown`.
    """
    bar: _TerminalBar | _LogBar | _NoBar
    if not shown:
        bar = _NoBar()
    elif sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns:
        bar = _TerminalBar(total, description, unit, initial)
    else:
        bar = _LogBar(total, description, unit, initial)
    try:
        yield bar
    finally:
        bar.close()


class _TerminalBar:
    def __init__(self, total: int | None, description: str, unit: str, initial: int) -> None:
        self._bar = tqdm(
            total=total,
            desc=description,
            unit=unit,
            unit_scale=unit == BYTES,
            initial=initial,
            dynamic_ncols=True,
        )

    def advance(self, n: int = 1, **figures: Figure) -> None:
        if figures:
            self._bar.set_postfix({k: str(v) for k, v in figures.items()}, refresh=False)
        self._bar.update(n)

    def close(self) -> None:
        self._bar.close()


class _LogBar:
    def __init__(self, total: int | None, description: str, unit: str, initial: int) -> None:
        self._total, self._description, self._unit = total, description, unit
        self._initial = self._done = initial
        self._start = self._last = time.monotonic()
        self._figures: dict[str, Figure] = {}

    def advance(self, n: int = 1, **figures: Figure) -> None:
        self._done += n
        self._figures.update(figures)
        if time.monotonic() - self._last >= LOG_INTERVAL_S:
            self._print()

    def close(self) -> None:
        self._print()

    def _print(self) -> None:
        now = time.monotonic()
        self._last = now
        rate = (self._done - self._initial) / max(now - self._start, 1e-9)
        in_bytes = self._unit == BYTES
        line = f"{self._description}: {size_in_units(self._done) if in_bytes else self._done}"
        if self._total is not None:
            line += f" of {size_in_units(self._total) if in_bytes else self._total}"
        line += f", {size_in_units(rate)}/s" if in_bytes else f" {self._unit}, {rate:.1f}/s"
        if self._total is not None and rate > 0 and self._done < self._total:
            line += f", {duration((self._total - self._done) / rate)} to go"
        line += "".join(f", {name} {value}" for name, value in self._figures.items())
        click.echo(line, err=True)


class _NoBar:
    def advance(self, n: int = 1, **figures: Figure) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


def duration(seconds: float) -> str:
    """Seconds for people: `300 s`, from ten minutes on `h:mm h`."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02} h"


def size_in_units(size: float) -> str:
    """Bytes for people, in decimal units: `999 B`, `1.2 kB`, `439 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
