"""Read the mean gains over datasets that `cxr-eval study` wrote (tables/means.csv), and put them in words."""

import csv
import io
import math
from dataclasses import dataclass

from evaluation.report.text import METHOD_NAMES, estimate_text, excludes_zero, p_value_text
from evaluation.statistics.result import Difference

MEANS = "means.csv"
_COLUMNS = frozenset(
    (
        "method",
        "backbone",
        "arm",
        "reference",
        "value",
        "ci_low",
        "ci_high",
        "p_value",
        "targets",
        "variant",
        "metric",
        "weak",
    )
)


@dataclass(frozen=True)
class MeanRow:
    """A mean gain in words. by: how the labels are learned. value: with its interval.

    weak: why the interval is rough. clear: it excludes 0, and is not weak.
    """

    by: str
    arm: str
    reference: str
    value: tuple[str, str]
    clear: bool
    weak: str
    p: str
    targets: str


def mean_rows(text: str) -> list[MeanRow]:
    """The rows of a means.csv. Raises ValueError for a table that is none."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if lacking := _COLUMNS - set(reader.fieldnames or ()):
            raise ValueError(f"it is no table of means: there is no column {min(lacking)}")
        return [_row(fields) for fields in reader]
    except (TypeError, AttributeError, csv.Error) as error:
        raise ValueError(f"it is no table of means: {error}") from error


def _row(fields: dict[str, str]) -> MeanRow:
    low, high = (fields[key] for key in ("ci_low", "ci_high"))
    interval = (_finite(low), _finite(high)) if low and high else None
    p_value = _finite(fields["p_value"]) if fields["p_value"] else None
    gain = Difference(_finite(fields["value"]), interval, p_value)
    variant = fields["variant"]
    words = [fields["backbone"], METHOD_NAMES.get(fields["method"], fields["method"])]
    words += [] if variant == "default" else [variant]
    words += [] if fields["metric"] == "auroc" else [fields["metric"]]
    return MeanRow(
        by=", ".join(words),
        arm=fields["arm"],
        reference=" or ".join(fields["reference"].split(";")),
        value=estimate_text(gain, signed=True),
        clear=excludes_zero(gain) and not fields["weak"],
        weak=fields["weak"],
        p=p_value_text(p_value),
        targets=", ".join(map(_target, fields["targets"].split(";"))),
    )


def _target(text: str) -> str:
    name, _, fraction = text.rpartition(" ")
    return f"{name} {100 * _finite(fraction):g} %"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value
