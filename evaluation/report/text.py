"""Put numbers and facts of a report in words: estimates, durations, settings, names of splits."""

from collections.abc import Iterable, Sequence

from evaluation.report.figures.style import percent as percent
from evaluation.report.records import RunConfig
from evaluation.statistics.result import Difference, Value

MINUS = "\N{MINUS SIGN}"
METHOD_NAMES = {"probe": "linear probe", "finetune": "fine-tuned"}
_PATHS = frozenset({"shards", "output", "config"})
_SPLIT_NAMES = {"train": "training", "valid": "validation", "test": "test"}


def estimate_text(estimate: Value | Difference, *, signed: bool = False) -> tuple[str, str]:
    """(value, interval) of an estimate, three decimals; `undefined` without interval where it is null."""
    if estimate.value is None:
        return "undefined", ""
    spelled = [_number(value, signed=signed) for value in (estimate.value, *(estimate.ci or ()))]
    return spelled[0], f"({spelled[1]}, {spelled[2]})" if len(spelled) == 3 else ""


def signed_text(value: float) -> str:
    """A difference with its sign, three decimals."""
    return _number(value, signed=True)


def excludes_zero(estimate: Difference) -> bool:
    """Whether the interval of a difference lies on one side of zero."""
    interval = estimate.ci
    return interval is not None and (interval[0] > 0 or interval[1] < 0)


def p_value_text(p_value: float | None) -> str:
    """Three decimals, at least 0.001; empty where there is none."""
    if p_value is None:
        return ""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 41 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def counted(number: int, name: str) -> str:
    """`1 epoch`, `1,200 epochs`."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def settings(config: RunConfig) -> list[tuple[str, str]]:
    """Options of a run as (name, value), paths left out: a report is passed on, and paths say who ran it where."""
    spelled = []
    for name in config.options:
        value = config.value(name)
        if name not in _PATHS and value is not None:
            spelled.append((name.replace("_", " "), value.rsplit("/", 1)[-1] if name == "init" else value))
    return spelled


def split_name(split: str) -> str:
    """A split as a reader calls it."""
    return _SPLIT_NAMES.get(split, "split not recorded")


def span(values: Sequence[int]) -> str:
    """`12` where all are equal, else `5 to 1,200`; blank for none."""
    if not values:
        return ""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def few_of(names: Iterable[str]) -> str:
    """Up to three names; of more the first one, and how many others there are."""
    distinct = list(dict.fromkeys(names))
    return listed(distinct) if len(distinct) <= 3 else f"{distinct[0]} and {len(distinct) - 1} more"


def listed(values: Iterable[object]) -> str:
    """`a`, `a and b`, `a, b and c`, each once, in order."""
    words = list(dict.fromkeys(str(value) for value in values))
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _number(value: float, *, signed: bool) -> str:
    return f"{value:+.3f}".replace("-", MINUS) if signed else f"{value:.3f}"
