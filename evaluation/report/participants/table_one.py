"""Spell table 1 and the flow of a dataset: finished strings, a column a split."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evaluation.report.participants.cohort import Age, SplitCohort, cohorts
from evaluation.report.participants.flow import Step, flow, splits_of
from evaluation.report.text import split_name
from shards.format.dataset import Dataset


@dataclass(frozen=True)
class CountsRow:
    """A row of counts. name: its heading. group: whether it only heads the rows below it. of: cells by column."""

    name: str
    cells: list[str]
    group: bool = False
    removed: bool = False


@dataclass(frozen=True)
class ParticipantsView:
    """A dataset's table 1 and flow. columns, flow_columns: their headings. labels_left_out: those not shown."""

    name: str
    digest: str
    columns: list[str]
    rows: list[CountsRow]
    flow_columns: list[str]
    flow: list[CountsRow]
    labels_left_out: int


def participants_view(dataset: Dataset, labels: Collection[str], filters: Sequence[str]) -> ParticipantsView:
    """Spell a dataset. labels: those that the study uses; none shows all. filters: conditions of the study."""
    found = cohorts(dataset)
    shown = [label for label in dataset.label_names if label in labels] or list(dataset.label_names)
    steps = flow(dataset, filters)
    splits = splits_of(steps)
    return ParticipantsView(
        name=dataset.name,
        digest=dataset.digest,
        columns=[split_name(split) for split in found],
        rows=_table(list(found.values()), shown),
        flow_columns=[*(split_name(split) for split in splits), "all"],
        flow=[_flow_row(step, splits) for step in steps],
        labels_left_out=len(dataset.label_names) - len(shown),
    )


def _table(found: Sequence[SplitCohort], labels: Sequence[str]) -> list[CountsRow]:
    blank = [""] * len(found)
    rows = [
        CountsRow("patients", [f"{one.patients:,}" for one in found]),
        CountsRow("studies", ["not recorded" if one.studies is None else f"{one.studies:,}" for one in found]),
        CountsRow("images", [f"{one.images:,}" for one in found]),
        CountsRow("images of a patient, mean", [f"{one.images / one.patients:.2f}" for one in found]),
        CountsRow("sex, of patients", blank, group=True),
        *_values([(one.sex, one.patients) for one in found]),
        CountsRow("age in years, of patients", blank, group=True),
        CountsRow("median (quartiles)", [_age(one.age) for one in found]),
        CountsRow("not recorded", [_share(one.age.unknown, one.patients) for one in found]),
        CountsRow("projection, of images", blank, group=True),
        *_values([(one.projection, one.images) for one in found]),
        CountsRow("AP or PA, of images", blank, group=True),
        *_values([(one.ap_pa, one.images) for one in found]),
        CountsRow("labels, of images: positive, negative, uncertain, not mentioned", blank, group=True),
    ]
    return rows + [CountsRow(label, [_label(one, label) for one in found]) for label in labels]


def _values(counted: Sequence[tuple[Mapping[str, int], int]]) -> list[CountsRow]:
    """A row a value that any split has, with its share of the whole."""
    names = dict.fromkeys(name for counts, _ in counted for name in counts)
    return [CountsRow(name, [_share(counts.get(name, 0), whole) for counts, whole in counted]) for name in names]


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({100 * count / whole:.1f} %)"


def _age(age: Age) -> str:
    return "not recorded" if age.median is None else f"{age.median:.0f} ({age.low:.0f} to {age.high:.0f})"


def _label(cohort: SplitCohort, label: str) -> str:
    counts = cohort.labels[label]
    return f"{counts.positive:,}, {counts.negative:,}, {counts.uncertain:,}, {counts.not_mentioned:,}"


def _flow_row(step: Step, splits: Sequence[str]) -> CountsRow:
    cells = [f"{step.counts[split]:,}" if step.counts else "" for split in splits]
    return CountsRow(step.name, [*cells, f"{step.total:,}"], removed=step.removed)
