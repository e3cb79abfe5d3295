"""Put together what the page says of participants: table 1 and flow of each dataset at hand, and what was judged."""

from dataclasses import dataclass

from evaluation.report.participants.datasets_at_hand import AtHand
from evaluation.report.participants.judged import JudgedRow, judged_rows
from evaluation.report.participants.table_one import ParticipantsView, participants_view
from evaluation.report.participants.trained import TrainedRow, trained_rows
from evaluation.report.study import Study
from evaluation.report.text import listed


@dataclass(frozen=True)
class Participants:
    """missing: which datasets are not at hand, in a sentence; blank where all are."""

    datasets: list[ParticipantsView]
    trained: list[TrainedRow]
    judged: list[JudgedRow]
    missing: str


def participants(study: Study, at_hand: AtHand) -> Participants:
    """Spell all datasets of a study."""
    labels = {label for model in study.models if model.record for label in model.record.labels}
    labels |= {label for result in study.results for label in result.content.labels}
    filters = _filters(study)
    views = [participants_view(dataset, labels, filters) for dataset in at_hand.datasets.values()]
    return Participants(views, trained_rows(study.models), judged_rows(study.results), _missing(at_hand))


def variants(study: Study, at_hand: AtHand) -> dict[str, str]:
    """Which reader made each dataset, by name, where dataset.json is at hand."""
    found = {folder.record.name or folder.name: folder.record.variant for folder in study.datasets}
    return found | {dataset.name: dataset.variant for dataset in at_hand.datasets.values()}


def _filters(study: Study) -> list[str]:
    """The conditions on rows of runs, models and results, each once."""
    found = [run.backbone.row_filter for run in study.runs if run.backbone]
    found += [model.record.row_filter for model in study.models if model.record]
    found += [result.content.inputs.labels.row_filter for result in study.results]
    return [condition for condition in dict.fromkeys(found) if condition]


def _missing(at_hand: AtHand) -> str:
    named = [
        f"{one.name} ({one.digest[:12] if one.digest else 'digest not recorded'}, for {one.role})"
        for one in at_hand.missing
    ]
    if not named:
        return ""
    return (
        f"Not at hand, so that only what results say of them is shown: {listed(named)}. A dataset is found in this "
        "folder, or where the runs and results were given it, unchanged since."
    )
