"""Read the lines of metrics.jsonl, and tell spoiled ones from those that were written. No torch."""

from pathlib import Path

from shards.input_files import load_json, read_regular
from training.runs.files import METRICS

_LARGEST_STEP = 1 << 53


def read_metrics(run: Path) -> list[dict[str, float]]:
    """Read the lines of metrics.jsonl, in order.

    A last line that was cut off is left out, and so is one that is spoiled. No lines where no file is.
    """
    return metrics_lines(run)[0]


def metrics_lines(run: Path) -> tuple[list[dict[str, float]], list[bytes]]:
    """Read the lines of metrics.jsonl, and beside them those that are spoiled, as they stand there."""
    path = run / METRICS
    if not path.is_file():
        return [], []
    kept, spoiled = [], []
    for line in read_regular(path).split(b"\n")[:-1]:
        figures = _figures(line)
        if figures is None:
            spoiled.append(line)
        else:
            kept.append(figures)
    return kept, spoiled


def _figures(line: bytes) -> dict[str, float] | None:
    """The figures of a line; None unless it is an object of finite numbers with a step, as a run writes it."""
    try:
        found = load_json(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or type(found.get("step")) is not int or not 0 <= found["step"] < _LARGEST_STEP:
        return None
    numbers = all(type(value) in (int, float) and abs(value) < 1e300 for value in found.values())
    return found if numbers else None
