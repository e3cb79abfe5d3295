"""Read the mean gains over datasets that `cxr-eval study` wrote (tables/means.csv), and put them in words."""

import csv
import io
import math
from dataclasses import dataclass, fields

from evaluation.report.text import METHOD_NAMES, estimate_text, excludes_zero, p_value_text
from evaluation.statistics.result import Difference

MEANS = "means.csv"


@dataclass(frozen=True)
class MeanColumns:
    """A row of means.csv, its columns in order. Numbers are text, blank where there is none.

    targets: name and fraction of each, with semicolons between. weak: why the interval is rough.
    """

    method: str
    backbone: str
    arm: str
    reference: str
    value: str
    ci_low: str
    ci_high: str
    p_value: str
    targets: str
    variant: str
    metric: str
    weak: str


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
        if lacking := {field.name for field in fields(MeanColumns)} - set(reader.fieldnames or ()):
            raise ValueError(f"it is no table of means: there is no column {min(lacking)}")
        return [_row(MeanColumns(**row)) for row in reader]
    except (TypeError, AttributeError, csv.Error) as error:
        raise ValueError(f"it is no table of means: {error}") from error


def _row(row: MeanColumns) -> MeanRow:
    interval = (_finite(row.ci_low), _finite(row.ci_high)) if row.ci_low and row.ci_high else None
    p_value = _finite(row.p_value) if row.p_value else None
    gain = Difference(_finite(row.value), interval, p_value)
    words = [row.backbone, METHOD_NAMES.get(row.method, row.method)]
    words += [] if row.variant == "default" else [row.variant]
    words += [] if row.metric == "auroc" else [row.metric]
    return MeanRow(
        by=", ".join(words),
        arm=row.arm,
        reference=" or ".join(row.reference.split(";")),
        value=estimate_text(gain, signed=True),
        clear=excludes_zero(gain) and not row.weak,
        weak=row.weak,
        p=p_value_text(p_value),
        targets=", ".join(map(_target, row.targets.split(";"))),
    )


def _target(text: str) -> str:
    name, _, fraction = text.rpartition(" ")
    return f"{name} {100 * _finite(fraction):g} %"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value
