"""The headline of a report: AUROC by dataset, label, method and label fraction, arm beside arm, and the gains.

Bootstrap results flow in, rows of a table flow out. Knows nothing of HTML or figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.report.study import Result

MOCO, RANDOM, IMAGENET = "MoCo", "Random", "ImageNet"
ALWAYS_SHOWN = (MOCO, RANDOM, IMAGENET)
"""Arms with a column of their own even where nobody ran them: 'not run' is said, not left out."""
MEAN = "mean"
_ARM_NAMES = {"moco": MOCO, "random": RANDOM, "imagenet": IMAGENET, "file": "File"}

Estimate = Mapping[str, Any]
"""value, ci and, of a difference, p_value and delong_p_value: as in the result's JSON."""


@dataclass(frozen=True, order=True)
class Setting:
    """What the rows of one table share. trained_on: the labels' dataset, where it is another than the tested one."""

    dataset: str
    split: str
    aggregate: str
    trained_on: str = ""


@dataclass
class GainRow:
    """One label, method and label fraction. arms: estimate by arm. differences: estimate by (arm, arm).

    draws: how many models each arm averages over. sources: the results that it comes from.
    """

    label: str
    method: str
    fraction: float
    n: int | None
    positives: int | None
    arms: dict[str, Estimate] = field(default_factory=dict)
    differences: dict[tuple[str, str], Estimate] = field(default_factory=dict)
    draws: dict[str, int] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)


@dataclass
class GainTable:
    """All rows of a setting: mean over labels first, then label by label."""

    setting: Setting
    rows: list[GainRow]

    @property
    def arms(self) -> list[str]:
        """Columns of arms: the three of the paper, run or not, then any other."""
        others = {arm for row in self.rows for arm in row.arms} - set(ALWAYS_SHOWN)
        return [*ALWAYS_SHOWN, *sorted(others)]

    @property
    def differences(self) -> list[tuple[str, str]]:
        """Columns of differences that any row has."""
        return sorted({pair for row in self.rows for pair in row.differences})


@dataclass(frozen=True)
class _Arm:
    name: str
    setting: Setting
    method: str
    fraction: float
    draws: int


def gain_tables(results: Sequence[Result]) -> tuple[list[GainTable], list[Result]]:
    """(tables, results that fit none). A result fits where its sidecars say what each arm is, and arms are alike.

    Two results that disagree on an arm (another seed of pretraining, another test set) get rows of their own.
    """
    several_inits = len({init for result in results for init in _moco_inits(result)}) > 1
    tables: dict[Setting, GainTable] = {}
    others: list[Result] = []
    for result in results:
        arms = _arms(result.content, several_inits)
        if arms is None:
            others.append(result)
            continue
        table = tables.setdefault(arms[0].setting, GainTable(arms[0].setting, []))
        for label, entry in _entries(result.content):
            _add(table, result.name, label, entry, arms)
    for table in tables.values():
        order = {label: place for place, label in enumerate(dict.fromkeys(row.label for row in table.rows))}
        order[MEAN] = -1
        table.rows.sort(key=lambda row: (order[row.label], _method_order(row.method), row.fraction))
    return [tables[setting] for setting in sorted(tables)], others


def _entries(content: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Label by label, and the mean where there is more than one."""
    if len(content["labels"]) > 1:
        yield MEAN, content["mean"]
    yield from content["labels"].items()


def _add(table: GainTable, source: str, label: str, entry: Mapping[str, Any], arms: Sequence[_Arm]) -> None:
    estimates = {arm.name: entry[role] for arm, role in zip(arms, ("model", "baseline"), strict=False)}
    pair = (arms[0].name, arms[1].name) if len(arms) == 2 else None
    counts = (entry.get("n"), entry.get("positives"))
    for row in table.rows:
        same = (row.label, row.method, row.fraction) == (label, arms[0].method, arms[0].fraction)
        agrees = all(row.arms.get(name, estimate) == estimate for name, estimate in estimates.items())
        if same and agrees and (row.n, row.positives) == counts and pair not in row.differences:
            break
    else:
        row = GainRow(label, arms[0].method, arms[0].fraction, *counts)
        table.rows.append(row)
    row.arms.update(estimates)
    row.draws.update({arm.name: arm.draws for arm in arms})
    row.sources.append(source)
    if pair is not None:
        row.differences[pair] = entry["difference"]


def _arms(content: Mapping[str, Any], several_inits: bool) -> list[_Arm] | None:
    """The result's arms; None where a sidecar is missing, or the arms differ in more than their start."""
    arms = []
    for role in ("model", "baseline"):
        sidecars = content.get("arms", {}).get(role)
        if sidecars is None:
            continue
        described = {_described(sidecar, several_inits) for sidecar in sidecars}
        if len(described) != 1:
            return None
        arm = described.pop()
        if arm is None:
            return None
        arms.append(_Arm(*arm, len(sidecars)))
    alike = {(arm.setting, arm.method, arm.fraction) for arm in arms}
    return arms if len(alike) == 1 and len({arm.name for arm in arms}) == len(arms) else None


def _described(sidecar: Mapping[str, Any] | None, several_inits: bool) -> tuple[str, Setting, str, float] | None:
    """Arm, setting, method and fraction that a sidecar tells of; None where it does not tell."""
    model = (sidecar or {}).get("model")
    if not sidecar or not isinstance(model, Mapping):
        return None
    try:
        tested, trained = str(sidecar["dataset"]["name"]), str(model["dataset"]["name"])
        setting = Setting(
            tested,
            str(sidecar.get("split", "unknown")),
            str(sidecar.get("aggregate", "image")),
            trained if trained != tested else "",
        )
        return arm_name(model, several_inits), setting, str(model["method"]), float(model["label_fraction"])
    except (KeyError, TypeError, ValueError):
        return None


def arm_name(model: Mapping[str, Any], several_inits: bool = False) -> str:
    """What a model started from, for a heading; MoCo names its own start where a study has several."""
    initial = str(model.get("initial", "unknown"))
    name = _ARM_NAMES.get(initial, initial)
    init = (model.get("provenance") or {}).get("init")
    if name == MOCO and several_inits and init:
        return f"{MOCO} from {_ARM_NAMES.get(str(init), str(init))}"
    return name


def _moco_inits(result: Result) -> set[str]:
    sidecars = [s for arm in result.content.get("arms", {}).values() for s in arm if s]
    models = [s["model"] for s in sidecars if isinstance(s.get("model"), Mapping)]
    return {str((m.get("provenance") or {}).get("init")) for m in models if m.get("initial") == "moco"}


def _method_order(method: str) -> tuple[int, str]:
    return (0 if method == "probe" else 1, method)
