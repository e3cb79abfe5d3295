"""Arrange files of curves for the page: which comparison each is of, its figures, and its readers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.curves.content import LabelCurves, Rate
from evaluation.report.figures import PR, ROC, CurvesOfLabel, Panel, operating_figure, percent
from evaluation.report.gains import ComparedArm, compared_arms
from evaluation.report.study import CurvesFile
from evaluation.report.text import METHOD_NAMES, counted, listed, split_name
from evaluation.statistics.remarks import unit_words


@dataclass(frozen=True)
class ReaderRow:
    """A reader on a label: finished strings."""

    label: str
    reader: str
    read: str
    sensitivity: tuple[str, str]
    specificity: tuple[str, str]
    precision: str


@dataclass(frozen=True)
class OperatingView:
    """The curves of one comparison. source: the file. labels: drawn ones. omitted: labels without a curve."""

    source: str
    title: str
    note: str
    roc: list[Panel]
    pr: list[Panel]
    omitted: list[str]
    readers: list[ReaderRow]
    readers_file: str


@dataclass(frozen=True)
class Sheet:
    """The curves of one comparison before they are drawn. key: what comparisons of other fractions share."""

    file: CurvesFile
    title: str
    key: tuple[str, ...]
    fraction: float
    labels: list[CurvesOfLabel]


def sheets(files: Sequence[CurvesFile]) -> tuple[list[Sheet], list[str]]:
    """The curves that are drawn, and the names of the files that are not.

    Of comparisons that differ in the fraction of training labels only, the one with most labels is drawn.
    """
    found: dict[tuple[str, ...], Sheet] = {}
    others = []
    for file in files:
        sheet = _sheet(file)
        before = found.get(sheet.key)
        if before is None or before.fraction < sheet.fraction:
            found[sheet.key] = sheet
        if before is not None:
            others.append(before.file.name if before.fraction < sheet.fraction else file.name)
    return list(found.values()), sorted(others)


def operating_views(drawn: Sequence[Sheet], identity: str) -> list[OperatingView]:
    """The sheets as the template shows them. identity: prefix of the figures' ids."""
    return [_view(sheet, f"{identity}{number}") for number, sheet in enumerate(drawn)]


def _sheet(file: CurvesFile) -> Sheet:
    content = file.content
    arms = compared_arms(content.arms) or []
    names = {arm.role: arm.name for arm in arms}
    labels = [CurvesOfLabel(label, one, content.grid, names) for label, one in content.labels.items() if _drawn(one)]
    if not arms:
        return Sheet(file, file.name, (file.name,), 0.0, labels)
    return Sheet(file, _title(arms[0]), _key(arms), arms[0].fraction, labels)


def _drawn(one: LabelCurves) -> bool:
    return any(arm.roc is not None for arm in one.arms.values())


def _key(arms: Sequence[ComparedArm]) -> tuple[str, ...]:
    first, setting = arms[0], arms[0].setting
    where = (setting.dataset, setting.split, setting.aggregate, setting.trained_on, setting.row_filter)
    runs = sorted(f"{arm.name}: {run.identity}" for arm in arms for run in arm.runs)
    return (*where, first.method, first.backbone, *sorted(arm.name for arm in arms), *runs)


def _title(arm: ComparedArm) -> str:
    setting = arm.setting
    of = f"{setting.dataset}, {split_name(setting.split)}"
    return f"{of}: {METHOD_NAMES.get(arm.method, arm.method)}, {percent(arm.fraction)}" + (
        f", {arm.backbone}" if arm.backbone else ""
    )


def _view(sheet: Sheet, identity: str) -> OperatingView:
    content = sheet.file.content
    drawn = {one.label for one in sheet.labels}
    level = f"{100 * content.level:g} %"
    return OperatingView(
        source=sheet.file.name,
        title=sheet.title,
        note=(
            f"Bands are pointwise {level} percentile intervals of {counted(content.replicates, 'replicate')} in which "
            f"{listed(content.over)} vary; {content.units:,} {unit_words(content.unit)}. After each name stands the "
            "area: AUROC, average precision."
        ),
        roc=[operating_figure(one, ROC, f"{identity}r{number}") for number, one in enumerate(sheet.labels)],
        pr=[operating_figure(one, PR, f"{identity}p{number}") for number, one in enumerate(sheet.labels)],
        omitted=[label for label in content.labels if label not in drawn],
        readers=list(_readers(sheet)),
        readers_file=content.readers.path.rsplit("/", 1)[-1] if content.readers else "",
    )


def _readers(sheet: Sheet) -> Iterator[ReaderRow]:
    for label, one in sheet.file.content.labels.items():
        for reader, point in one.readers.items():
            known = point.positives is not None and point.negatives is not None
            yield ReaderRow(
                label=label,
                reader=reader,
                read=f"{point.positives:,} positive, {point.negatives:,} negative" if known else "not stated",
                sensitivity=_rate(point.sensitivity),
                specificity=_rate(point.specificity),
                precision="undefined" if point.precision is None else f"{point.precision:.3f}",
            )


def _rate(rate: Rate) -> tuple[str, str]:
    if rate.value is None:
        return "undefined", ""
    return f"{rate.value:.3f}", f"({rate.ci[0]:.3f}, {rate.ci[1]:.3f})" if rate.ci else ""
