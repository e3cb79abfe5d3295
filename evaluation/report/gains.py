"""Arrange results as the report's headline: AUROC by dataset, label, method and label fraction, and the gains."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from evaluation.report.figures.style import IMAGENET as IMAGENET
from evaluation.report.figures.style import MOCO as MOCO
from evaluation.report.figures.style import RANDOM as RANDOM
from evaluation.report.pretrainings import Pretraining, backbone_of, initial_of, pretraining_of, run_names
from evaluation.report.study import Result
from evaluation.report.weakness import labels_of, weakness
from evaluation.statistics.result import ArmInput, BootstrapResult, Difference, LabelResult, MeanResult, Value
from evaluation.tables.sidecar import Sidecar
from shards.json_value import JsonValue

ALWAYS_SHOWN = (MOCO, RANDOM, IMAGENET)
"""Arms with a column of their own even where nobody ran them: 'not run' is said, not left out."""
MEAN = "mean"
AUROC = "auroc"
ARCHITECTURE, PREPROCESSING = "architecture", "preprocessing"
"""As `--allow-different` names it."""
_Key = TypeVar("_Key")
_ARM_NAMES = {"moco": MOCO, "random": RANDOM, "imagenet": IMAGENET, "file": "File"}
_OF_A_FILE = "(file)"
_GENERAL_ROLES = {"model", "baseline"}
"""Names that `bootstrap` gives to arms by itself, which do not describe an arm."""


@dataclass(frozen=True, order=True)
class Setting:
    """What the rows of one table share. trained_on: the labels' dataset, where it is another than the tested one.

    row_filter: the condition that the judged images fulfil; empty for all of the split.
    """

    dataset: str
    split: str
    aggregate: str
    trained_on: str = ""
    row_filter: str = ""


@dataclass
class GainRow:
    """One label, method, label fraction, backbone and pretraining. arms: estimate by arm. differences: by (arm, arm).

    backbone: the architecture. runs: the pretraining runs of its arms, none where no arm has one; run: their names.
    draws: how many models each arm averages over. draw_numbers: the draw of each of them, in the order of an arm's
    values by draw. sources: the results that it comes from, the first one's figures are shown. reference: the arm that
    the first one compares with; empty where it has one arm. weak: why no difference of the row is shown as clear,
    whatever its interval; blank where there is no reason. classes: positives and negatives of each label of the row.
    repeated: whether another row is of the same cell.
    """

    label: str
    method: str
    fraction: float
    n: int | None
    positives: int | None
    arms: dict[str, Value] = field(default_factory=dict)
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict)
    draws: dict[str, int] = field(default_factory=dict)
    draw_numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    reference: str = ""
    backbone: str = ""
    runs: frozenset[Pretraining] = frozenset()
    run: str = ""
    weak: str = ""
    classes: tuple[tuple[int, int], ...] = ()
    repeated: bool = False

    @property
    def cell(self) -> tuple[object, ...]:
        """What the row is of, whatever its figures."""
        return self.label, self.method, self.fraction, self.backbone, self.runs, self.n, self.positives

    @property
    def trained(self) -> str:
        """Backbone and run, for a heading."""
        return ", ".join(filter(None, (self.backbone, self.run)))


@dataclass
class GainTable:
    """All rows of a setting: mean over labels first, then label by label."""

    setting: Setting
    rows: list[GainRow]

    @property
    def arms(self) -> list[str]:
        """Columns of arms: the three of the paper, run or not, then any other. A file may hold ImageNet's weights."""
        found = {arm for row in self.rows for arm in row.arms}
        settled = any(is_imagenet(arm) or is_of_a_file(arm) for arm in found)
        shown = [arm for arm in ALWAYS_SHOWN if arm in found or arm != IMAGENET or not settled]
        return [*shown, *sorted(found - set(ALWAYS_SHOWN))]

    @property
    def differences(self) -> list[tuple[str, str]]:
        """Columns of differences that any row has."""
        return sorted({pair for row in self.rows for pair in row.differences})


@dataclass(frozen=True)
class ComparedArm:
    """An arm as its sidecars describe it.

    role: the arm's name in the result. name: what it started from, the heading of its column.

    runs: the pretraining runs of its files.
    """

    role: str
    name: str
    setting: Setting
    method: str
    fraction: float
    backbone: str
    draws: int
    runs: frozenset[Pretraining]


def gain_tables(
    results: Sequence[Result], known_runs: Mapping[str, str] | None = None
) -> tuple[list[GainTable], list[Result]]:
    """Arrange results in tables; also returns those that fit none.

    A result fits where it is of the AUROC, its sidecars say what each arm is, and arms are alike. known_runs: digest of
    a run's backbone -> the name of the run.

    A backbone and a pretraining run has rows of its own, and so have two results that disagree on an arm. Results that
    have the same figures for a cell share its row, which names them.
    """
    several_inits = len({init for result in results for init in _moco_inits(result)}) > 1
    tables: dict[Setting, GainTable] = {}
    others: list[Result] = []
    for result in results:
        content = result.content
        arms = None
        if content.metric == AUROC:
            allowed = content.allowed_different
            arms = compared_arms(content.inputs.arms, several_inits, content.reference, allowed)
        if arms is None:
            others.append(result)
            continue
        table = tables.setdefault(arms[0].setting, GainTable(arms[0].setting, []))
        for label, entry in _entries(result.content):
            _add(table, result, label, entry, arms)
    for table in tables.values():
        for row in table.rows:
            row.run = run_names(row.runs, known_runs or {})
        cells = Counter(row.cell for row in table.rows)
        for row in table.rows:
            row.repeated = cells[row.cell] > 1
        order = {label: place for place, label in enumerate(dict.fromkeys(row.label for row in table.rows))}
        order[MEAN] = -1
        table.rows.sort(
            key=lambda row: (order[row.label], row.backbone, row.run, _method_order(row.method), row.fraction)
        )
    return [tables[setting] for setting in sorted(tables)], others


def _entries(content: BootstrapResult) -> Iterable[tuple[str, LabelResult | MeanResult]]:
    """Label by label, and the mean where there is more than one."""
    if len(content.labels) > 1:
        yield MEAN, content.mean
    yield from content.labels.items()


def _add(
    table: GainTable, result: Result, label: str, entry: LabelResult | MeanResult, arms: Sequence[ComparedArm]
) -> None:
    estimates = {arm.name: entry.arms[arm.role] for arm in arms}
    heading = {arm.role: arm.name for arm in arms}
    reference = result.content.reference
    differences = {
        (heading[role], heading[reference]): difference
        for role, difference in entry.differences.items()
        if reference is not None
    }
    counts = (entry.n, entry.positives) if isinstance(entry, LabelResult) else (None, None)
    runs = frozenset[Pretraining]().union(*(arm.runs for arm in arms))
    wanted = (label, arms[0].method, arms[0].fraction, arms[0].backbone)
    for row in table.rows:
        same = (row.label, row.method, row.fraction, row.backbone) == wanted
        same = same and (row.runs == runs or not row.runs or not runs)
        agrees = _agree(row.arms, estimates) and _agree(row.differences, differences)
        if same and agrees and (row.n, row.positives) == counts:
            break
    else:
        row = GainRow(label, arms[0].method, arms[0].fraction, *counts)
        row.backbone = arms[0].backbone
        row.reference = heading[reference] if reference is not None else ""
        table.rows.append(row)
    row.runs |= runs
    row.arms = estimates | row.arms
    row.draws = {arm.name: arm.draws for arm in arms} | row.draws
    numbers = {arm.name: tuple(file.draw for file in result.content.inputs.arms[arm.role]) for arm in arms}
    row.draw_numbers = numbers | row.draw_numbers
    row.sources.append(result.name)
    row.weak = row.weak or weakness(result.content, entry)
    row.classes = row.classes or tuple(
        (one.positives, one.negatives) for one in labels_of(result.content.labels, entry)
    )
    row.differences = differences | row.differences


def _agree(shown: Mapping[_Key, Value | Difference], others: Mapping[_Key, Value | Difference]) -> bool:
    """Whether what both have is shown alike: value, interval and p-values."""
    return all(_figures(shown[key]) == _figures(others[key]) for key in shown.keys() & others.keys())


def _figures(estimate: Value | Difference) -> tuple[object, ...]:
    p_values = (estimate.p_value, estimate.holm_p_value) if isinstance(estimate, Difference) else ()
    return estimate.value, estimate.ci, *p_values


def compared_arms(
    inputs: Mapping[str, Sequence[ArmInput]],
    several_inits: bool = False,
    reference: str | None = None,
    allowed: Collection[str] = (ARCHITECTURE, PREPROCESSING),
) -> list[ComparedArm] | None:
    """A comparison's arms; None where a sidecar is missing, or the arms differ in more than their initial weights.

    several_inits: name the initial weights of the pretraining too. allowed: in what else the arms may differ.
    Another architecture than the reference's, which was allowed, is part of the arm's name; the row is the reference's.
    Arms of the same initial weights, which may differ in preprocessing alone, are told apart by their names.
    """
    arms = []
    for role, files in inputs.items():
        described = {_described(file.sidecar, several_inits) for file in files}
        if len(described) != 1:
            return None
        arm = described.pop()
        if arm is None:
            return None
        found = {pretraining_of(file.sidecar.content) for file in files if file.sidecar is not None}
        arms.append(ComparedArm(role, *arm, len(files), frozenset(run for run in found if run is not None)))
    arms = [_of_a_file(arm) if arm.name == _ARM_NAMES["file"] else arm for arm in arms]
    if ARCHITECTURE in allowed:
        backbone = next((arm.backbone for arm in arms if arm.role == reference), arms[0].backbone)
        arms = [arm if arm.backbone == backbone else _of_another_backbone(arm, backbone) for arm in arms]
    if PREPROCESSING in allowed:  # such as a start under two normalisations
        names = [arm.name for arm in arms]
        arms = [arm if names.count(arm.name) == 1 else replace(arm, name=f"{arm.name} ({arm.role})") for arm in arms]
    alike = {(arm.setting, arm.method, arm.fraction, arm.backbone) for arm in arms}
    return arms if len(alike) == 1 and len({arm.name for arm in arms}) == len(arms) else None


def _of_a_file(arm: ComparedArm) -> ComparedArm:
    """An arm whose weights come from a file, by the name that the study gives it."""
    return arm if arm.role in _GENERAL_ROLES else replace(arm, name=f"{arm.role} {_OF_A_FILE}")


def is_of_a_file(arm: str) -> bool:
    """Whether an arm's heading says weights of a file, of which only their owner knows what they are."""
    return arm == _ARM_NAMES["file"] or _OF_A_FILE in arm


def is_imagenet(arm: str) -> bool:
    """Whether an arm's heading says ImageNet weights: torchvision's own, or a file's under that name in the study."""
    return arm.casefold().startswith(IMAGENET.casefold())


def _of_another_backbone(arm: ComparedArm, backbone: str) -> ComparedArm:
    """An arm of another architecture, by name, in a row of `backbone`. A network of timm has its name in its own."""
    name = arm.backbone if arm.backbone.startswith(f"{arm.name}:") else f"{arm.name} ({arm.backbone})"
    return replace(arm, name=name, backbone=backbone)


def _described(sidecar: Sidecar | None, several_inits: bool) -> tuple[str, Setting, str, float, str] | None:
    """Arm, setting, method, fraction and backbone that a sidecar tells of; None where it does not tell."""
    if sidecar is None:
        return None
    content = sidecar.content
    tested, trained = (_text(content.find(*path, "dataset", "name")) for path in ((), ("model",)))
    method, fraction = _text(content.find("model", "method")), content.find("model", "label_fraction")
    if tested is None or trained is None or method is None or fraction is None:
        return None
    try:
        label_fraction = float(fraction.value)
    except (TypeError, ValueError):
        return None
    setting = Setting(
        tested,
        _text(content.find("split")) or "unknown",
        _text(content.find("aggregate")) or "image",
        trained if trained != tested else "",
        _text(content.find("row_filter")) or "",
    )
    name = arm_name(initial_of(content) or "unknown", _init(sidecar) if several_inits else None)
    return name, setting, method, label_fraction, backbone_of(content)


def arm_name(initial: str, init: str | None = None) -> str:
    """Name what a model started from, for a heading.

    init: the initial weights of its pretraining, named in a study where these differ between models.
    """
    name = _ARM_NAMES.get(initial, initial)
    return f"{MOCO} from {_ARM_NAMES.get(init, init)}" if name == MOCO and init else name


def _moco_inits(result: Result) -> set[str | None]:
    sidecars = [file.sidecar for files in result.content.inputs.arms.values() for file in files if file.sidecar]
    return {_init(sidecar) for sidecar in sidecars if initial_of(sidecar.content) == "moco"}


def _init(sidecar: Sidecar) -> str | None:
    """The initial weights of the pretraining that a model started from; None where there was none."""
    return _text(sidecar.content.find("model", "provenance", "init"))


def _text(found: JsonValue | None) -> str | None:
    return None if found is None else str(found.value)


def _method_order(method: str) -> tuple[int, str]:
    return (0 if method == "probe" else 1, method)
