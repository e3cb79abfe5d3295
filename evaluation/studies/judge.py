"""Judge a study: predict, compare the arms of each comparison, correct p-values within families, write the tables.

Safe at any time: what is finished is judged, what is missing is listed, and nothing is computed twice.
"""

import dataclasses
import hashlib
import itertools
import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.compare_files import bootstrap
from evaluation.metrics.metrics import LESS_IS_BETTER, METRICS
from evaluation.report.gains import gain_tables
from evaluation.report.page.render import write_report
from evaluation.report.study import Result
from evaluation.report.tables.gain_table import gain_view
from evaluation.results.reading import result_from_json
from evaluation.statistics.options import BootstrapOptions
from evaluation.statistics.remarks import missing_thresholds
from evaluation.statistics.result import BootstrapResult
from evaluation.studies.cell_predictions import predict_cell, predictions_path
from evaluation.studies.families import RESULTS, JudgedResult, correct
from evaluation.studies.means import MeanGain, mean_gains
from evaluation.studies.options import StudyOptions
from evaluation.studies.shared_cells import shared_cells
from evaluation.studies.tables import write_cells, write_gains, write_means
from evaluation.tables.agreement import DIFFERENCES
from evaluation.tables.arm_files import ArmFiles
from shards.durable import write_atomically
from shards.errors import CxrError
from shards.json_value import parse_json
from training.errors import StudyError
from training.studies.cells import Cell, Comparison, StudyFolder, cells_of, comparisons_of
from training.studies.records import FINISHED, STUDY_FILE, CellState, cell_record, cell_state
from training.studies.shared_inputs import SharedInputs
from training.studies.study_file import read_study

REPORT, FIGURES = "report.html", "figures"

_log = logging.getLogger(__name__)

Advance = Callable[[int], None]


@dataclass
class Judged:
    """What was judged. states: of each cell, by path. results: by comparison, reference and metric, as in the study.

    failed: path -> error.
    """

    folder: StudyFolder
    states: dict[str, CellState] = field(default_factory=dict)
    predicted: int = 0
    results: list[JudgedResult] = field(default_factory=list)
    means: list[MeanGain] = field(default_factory=list)
    open_comparisons: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Paths of the cells that are not done."""
        return [path for path, state in self.states.items() if state.state != FINISHED]


def judge(options: StudyOptions, advance: Advance = lambda cells: None) -> Judged:
    """Judge what is finished of a study and write predictions, results/, tables/ and report.html into its folder.

    advance is told of cells as they are predicted. Raises StudyError for a folder without a study file.
    """
    folder = StudyFolder(read_study(options.directory / STUDY_FILE), options.data, options.directory)
    unknown = [metric for metric in folder.study.evaluation.metrics if metric not in METRICS]
    if unknown:
        raise StudyError(
            f"{folder.study.path}: evaluation.metrics: there is no {unknown[0]!r}; there are {', '.join(METRICS)}"
        )
    decisions = missing_thresholds(folder.study.evaluation.metrics)
    if decisions:
        raise StudyError(f"{folder.study.path}: evaluation.metrics: {decisions}, for each comparison by hand")
    allowed = [name for name in folder.study.evaluation.allow_different if name not in DIFFERENCES]
    if allowed:
        raise StudyError(
            f"{folder.study.path}: evaluation.allow_different: there is no {allowed[0]!r}; there are "
            f"{', '.join(DIFFERENCES)}"
        )
    judged = Judged(folder)
    cells = cells_of(folder.study)
    for cell in cells:
        judged.states[cell.path] = cell_state(folder.output / cell.path, cell_record(folder.study, cell))
    _predict(judged, [cell for cell in cells if judged.states[cell.path].state == FINISHED], options, advance)
    comparisons = comparisons_of(folder.study)
    for comparison in comparisons:
        _compare(judged, comparison)
    correct(folder, judged.results)
    judged.means = mean_gains(comparisons, judged.results)
    write_cells(folder.output, cells, judged.states)
    write_gains(folder.output, judged.results)
    write_means(folder.output, judged.means)
    write_report(folder.output, folder.output / REPORT, with_images=options.with_images, missing=judged.missing)
    _draw(judged)
    return judged


def _predict(judged: Judged, cells: Sequence[Cell], options: StudyOptions, advance: Advance) -> None:
    inputs = SharedInputs()
    for cell in cells:
        try:
            made = predict_cell(judged.folder, cell, inputs, device=options.device, threads=options.threads)
            judged.predicted += made
        except CxrError as error:
            judged.failed[cell.path] = str(error)
            _log.error("%s cannot be predicted: %s", cell.path, error)
        advance(1)


def _compare(judged: Judged, comparison: Comparison) -> None:
    """Compare the draws and seeds that all arms have finished."""
    predicted = {
        name: [cell for cell in cells if _is_predicted(judged, cell)] for name, cells in comparison.arms.items()
    }
    files = shared_cells(judged.folder.study, {name: cells for name, cells in predicted.items() if cells})
    if not set(judged.folder.study.references) <= set(files) or len(files) < 2:
        judged.open_comparisons.append(comparison.name)
        return
    evaluation = judged.folder.study.evaluation
    over = [None, *(reference for reference in evaluation.also_over if reference in files)]
    for number, (metric, other) in enumerate(itertools.product(evaluation.metrics, over)):
        name = "-".join([comparison.name, *([] if metric == evaluation.metrics[0] else [metric]), *_over(other)])
        try:
            result = _result(judged.folder, name, comparison, metric, files, other, with_curves=number == 0)
            judged.results.append(JudgedResult(name, comparison, metric, other, result))
        except (CxrError, ValueError) as error:
            told = str(error)
            if "--allow-different" in told:
                told += ". In the study file these names stand in a list, evaluation.allow_different"
            judged.failed[f"{RESULTS}/{name}.json"] = told
            _log.error("%s cannot be compared: %s", name, told)


def _over(reference: str | None) -> list[str]:
    return [] if reference is None else ["over", reference]


def _is_predicted(judged: Judged, cell: Cell) -> bool:
    return judged.states[cell.path].state == FINISHED and cell.path not in judged.failed


def _result(
    folder: StudyFolder,
    name: str,
    comparison: Comparison,
    metric: str,
    files: dict[str, tuple[Cell, ...]],
    other: str | None,
    *,
    with_curves: bool,
) -> BootstrapResult:
    """Compare with the study's reference, or another arm, unless a result of the same predictions and options is there.

    Of several references the better one is taken, by the mean over labels: a gain is claimed over that.
    """
    evaluation = folder.study.evaluation
    references = folder.study.references if other is None else (other,)
    options = BootstrapOptions(
        labels=folder.data / folder.study.datasets[comparison.target.dataset].shards,
        arm=tuple(
            ArmFiles(arm, tuple(predictions_path(folder, cell) for cell in cells)) for arm, cells in files.items()
        ),
        reference=references[0],
        output=folder.output / RESULTS / f"{name}.json",
        curves=folder.output / RESULTS / f"{name}-curves.json" if with_curves else None,
        metric=(metric,),
        replicates=evaluation.replicates,
        level=evaluation.level,
        over="draws" if "draws" in evaluation.over else "fixed",
        seed=evaluation.statistics_seed,
        allow_different=evaluation.allow_different,
    )
    over_each = (dataclasses.replace(options, reference=reference) for reference in references)
    found = next((one for one in map(_existing, over_each) if one is not None), None) or bootstrap(options)
    better = _better(found, references)
    return found if better == found.reference else bootstrap(dataclasses.replace(options, reference=better))


def _better(result: BootstrapResult, references: tuple[str, ...]) -> str:
    """The reference of the higher mean over labels, of the lower one where less is better; the first of equals."""
    sign = -1 if result.metric in LESS_IS_BETTER else 1
    values = {name: result.mean.arms[name].value for name in references}
    return max(references, key=lambda name: -math.inf if values[name] is None else sign * (values[name] or 0.0))


def _existing(options: BootstrapOptions) -> BootstrapResult | None:
    """The result that is there, if it is of these files, unchanged, of these options, and has its curves beside it."""
    try:
        result = result_from_json(parse_json(options.output.read_bytes()))
    except (OSError, ValueError):
        return None
    if options.curves is not None and not options.curves.is_file():
        return None
    asked = (options.metric[0], options.replicates, options.level, options.seed, options.reference)
    if asked != (result.metric, result.replicates, result.level, result.seed, result.reference):
        return None
    if not _goes_over(result, options):
        return None
    if set(result.allowed_different) != set(result.different) & set(options.allow_different):
        return None
    recorded = {arm: [(one.path, one.sha256) for one in files] for arm, files in result.inputs.arms.items()}
    return result if recorded == {arm.name: [_identity(path) for path in arm.files] for arm in options.arm} else None


def _goes_over(result: BootstrapResult, options: BootstrapOptions) -> bool:
    """Whether a result's intervals go over draws and seeds, or not, as asked; over fewer than three they never do."""
    varies = bool({"draws", "seeds"} & set(result.over))
    return not varies if options.over == "fixed" else varies or all(len(arm.files) < 3 for arm in options.arm)


def _identity(path: Path) -> tuple[str, str]:
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _draw(judged: Judged) -> None:
    """Write figures/: the figures of the report's results as SVG, AUROC over the label fraction."""
    name = judged.folder.output.name
    results = [Result(f"{RESULTS}/{one.name}", one.result) for one in judged.results]
    for number, table in enumerate(gain_tables(results)[0]):
        view = gain_view(table, f"{name}{number}", results)
        for panel in (*view.first_figures, *view.figures):
            stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{table.setting.dataset}-{panel.title}").strip("-").lower()
            path = judged.folder.output / FIGURES / f"{stem}.svg"
            path.parent.mkdir(exist_ok=True)
            with write_atomically(path) as file:
                file.write(panel.svg.encode())
