"""Measure throughput: how much of the training time is spent waiting for data, and how many images are seen."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Batch = TypeVar("Batch")


class Clock:
    """Wall time since the last line of metrics: how much of it went by waiting for data, how many images it saw."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Set all counts to zero."""
        self.waited, self.images, self._start = 0.0, 0, time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since the last restart."""
        return time.perf_counter() - self._start

    def batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the same batches, timing each wait."""
        source = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch


class Stopwatch:
    """State: the moment of the last lap."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        """Seconds since the last lap, or since the watch was made."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return seconds
