"""Read what `cxr-eval calibration` wrote: a row an arm and label."""

from dataclasses import dataclass

from evaluation.calibration.reliability import Bin
from evaluation.report.weakness import few_of_a_class
from evaluation.results.reading import interval_of
from evaluation.statistics.remarks import FEW_UNITS, unit_words
from shards.json_value import JsonError, JsonValue

CALIBRATION_VERSION = 1


@dataclass(frozen=True)
class CalibrationRow:
    """An arm and label. figures: intercept, slope and Brier score as finished strings. basis: level and units.

    weak: why the figures are weak; blank where they are not.
    """

    source: str
    label: str
    arm: str
    positives: int
    negatives: int
    figures: tuple[str, str, str]
    bins: tuple[Bin, ...]
    basis: str = ""
    weak: str = ""


def calibration_rows(source: str, content: JsonValue) -> list[CalibrationRow]:
    """Read what `cxr-eval calibration` wrote. Raises JsonError for another version, or another content."""
    version = content.at("format_version").value
    if version != CALIBRATION_VERSION:
        raise JsonError(f"calibration format version {version!r}, this program reads version {CALIBRATION_VERSION}")
    units = content.at("units").whole()
    basis = f"{100 * content.at('level').number():g} % intervals; {units:,} {unit_words(content.at('unit').text())}"
    return [
        CalibrationRow(
            source,
            label,
            arm,
            entry.at("positives").whole(),
            entry.at("negatives").whole(),
            (
                _figure(entry.at("intercept")),
                _figure(entry.at("slope")),
                _figure(entry.at("brier")),
            ),
            tuple(_bin(one) for one in entry.at("reliability").items()),
            basis,
            _weakness(units, content.at("unit").text(), entry),
        )
        for arm, labels in content.at("arms").fields().items()
        for label, entry in labels.fields().items()
    ]


def _weakness(units: int, unit: str, entry: JsonValue) -> str:
    few = f"only {units} {unit_words(unit)}" if units < FEW_UNITS else ""
    smaller = min(entry.at("positives").whole(), entry.at("negatives").whole())
    return "; ".join(filter(None, (few, few_of_a_class(smaller))))


def _figure(content: JsonValue) -> str:
    value = content.nullable("value", JsonValue.number)
    if value is None:
        return "undefined"
    interval = content.optional("ci", interval_of)
    return f"{value:.3f}" + ("" if interval is None else f" ({interval[0]:.3f}, {interval[1]:.3f})")


def _bin(content: JsonValue) -> Bin:
    return Bin(
        content.at("n").whole(),
        float(content.at("predicted").number()),
        float(content.at("observed").number()),
        content.optional("ci", interval_of),
        content.optional("method", JsonValue.text),
    )
