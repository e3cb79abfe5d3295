"""Records of a study's folder: study.yaml (resolved), and of each cell its options, that it is done or why it failed.

A cell is done when done.json is there and is of the same options as the study file's now.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from shards.durable import json_bytes, write_atomically, write_json_atomically
from shards.json_value import JsonError, JsonValue, parse_json
from shards.terminal.options import free_keys
from training.backbones.architectures import is_timm
from training.options import LATER_AUGMENTATION, ROW_OPTIONS, Config, PlainValue
from training.pretraining.options import EARLIER_VALUES, PretrainOptions
from training.runs.files import CELL, DONE
from training.studies.cells import Cell, RunPlan
from training.studies.option_values import METHODS, OF_THE_CELL, OF_THE_MACHINE, OF_THE_RUN, Settings
from training.studies.study_file import OWN, RUN, STUDY_VERSION, Arm, Study, Target

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STUDY_FILE = "study.yaml"
FAILED = "failed.json"

MISSING, FINISHED, CHANGED, BROKEN = "missing", "done", "changed", "failed"
"""States of a cell. changed: made with other options than the study file has now."""

_FORMAT_VERSION = 1


@dataclass(frozen=True)
class CellState:
    """state: one of the above. differing: of a changed cell, key -> (then, now). error: of a failed one.

    seconds: what a finished one took.
    """

    state: str
    differing: Mapping[str, tuple[object, object]] = dataclasses.field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class ArmRecord:
    """The arm of a cell: what is taken of its run, or the weights that it starts from instead.

    weights, preprocessing: recorded only where earlier releases had no such choice.
    """

    name: str
    at: str | None
    backbone_from: str | None
    weights: str | None = None
    preprocessing: str | None = None


@dataclass(frozen=True)
class CellRecord:
    """What decides a cell, as cell.json holds it: no path of this machine, all that the study file decides.

    run: path of its pretraining run. pretraining: digest of that run's options. options: of the command that trains it.
    """

    run: str
    pretraining: str
    arm: ArmRecord
    method: str
    variant: str
    target: str
    dataset: str
    options: Config

    def as_json(self) -> JsonValue:
        """Make the content of cell.json."""
        content = dataclasses.asdict(self)
        for name in ("weights", "preprocessing"):
            if content["arm"][name] is None:
                del content["arm"][name]
        return parse_json(json_bytes({"format_version": _FORMAT_VERSION, **content}))


def cell_record(study: Study, cell: Cell) -> CellRecord:
    """List what decides a cell."""
    options = cell.options(study, data=Path(), output=Path())
    left_out = free_keys(type(options)) | ROW_OPTIONS
    own = {name: value for name, value in dataclasses.asdict(options).items() if name not in left_out}
    return CellRecord(
        run=cell.run.path,
        pretraining=_run_digest(study, cell.run),
        arm=_arm_record(cell.arm),
        method=cell.method,
        variant=cell.variant.name,
        target=cell.target.name,
        dataset=cell.target.dataset,
        options=_without_later({**own, **options.recorded_rows}, LATER_AUGMENTATION),
    )


def _arm_record(arm: Arm) -> ArmRecord:
    of_earlier = arm.preprocessing != OWN if arm.at is None else arm.preprocessing == RUN
    if is_timm(arm.backbone_from or ""):
        of_earlier = arm.preprocessing == OWN
    return ArmRecord(arm.name, arm.at, arm.backbone_from, arm.weights, None if of_earlier else arm.preprocessing)


def _run_digest(study: Study, run: RunPlan) -> str:
    """Digest of the options of a pretraining run that change its weights."""
    options = run.options(study, data=Path(), output=Path())
    left_out = free_keys(PretrainOptions) | ROW_OPTIONS | {"device", "threads"}
    values = {name: value for name, value in dataclasses.asdict(options).items() if name not in left_out}
    kept = _without_later({**values, **options.recorded_rows}, EARLIER_VALUES)
    return _digest({**kept, "datasets": list(run.pretraining.shards)})


def write_study(study: Study, output: Path) -> None:
    """Write study.yaml: the study file with the value of every option, so that the folder says what was trained.

    It is a study file itself, of the same runs and cells. A recipe that lies beside the study file is copied with it.
    """
    output.mkdir(parents=True, exist_ok=True)
    head = f"# {study.path.name} with the value of every option, written by cxr-train sweep.\n"
    text = yaml.safe_dump(resolved(study), sort_keys=False, allow_unicode=True)
    contents = {output / STUDY_FILE: (head + text).encode()}
    for pretraining in study.pretraining:
        beside = study.path.parent / pretraining.recipe
        if beside.is_file():
            contents[output / pretraining.recipe] = beside.read_bytes()
    for path, content in contents.items():
        if path.resolve() != study.path.resolve() and not (path.is_file() and path.read_bytes() == content):
            path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(path) as file:
                file.write(content)


def resolved(study: Study) -> dict[str, object]:
    """A study as a study file holds it, with the value of every option of its runs and methods."""
    rates: dict[str, dict[str, float]] = {}
    for (kind, architecture), rate in study.rates.items():
        rates.setdefault(kind, {})[architecture] = rate
    content = {
        "study_version": STUDY_VERSION,
        "name": study.name,
        "datasets": {
            name: {"shards": str(one.shards), "splits": dict(one.splits)} for name, one in study.datasets.items()
        },
        "pretraining": {
            one.name: {
                "recipe": one.recipe,
                "shards": list(one.shards),
                "seeds": list(one.seeds),
                **explicit(PretrainOptions, one.settings, OF_THE_RUN),
            }
            for one in study.pretraining
        },
        "arms": {
            arm.name: _given(
                {key: value for key, value in vars(arm).items() if key != "name"},
                *(("preprocessing",) if arm.at is not None and arm.preprocessing == RUN else ()),
            )
            for arm in study.arms
        },
        "reference": study.references[0] if len(study.references) == 1 else list(study.references),
        "methods": {name: explicit(METHODS[name], settings, OF_THE_CELL) for name, settings in study.methods.items()},
        "variants": {
            name: _given({"methods": one.methods}) | _plain(one.settings) for name, one in study.variants.items()
        },
        "run": list(study.run),
        "targets": [_target(target) for target in study.targets],
        "seed": study.seed,
        "evaluation": _given(vars(study.evaluation)),
        "rates": rates,
    }
    return {name: _as_yaml(value) for name, value in content.items()}


def explicit(
    options: "type[DataclassInstance]", settings: Settings, elsewhere: frozenset[str]
) -> dict[str, PlainValue]:
    """The value of every option that a study file may give, those left out with their defaults.

    elsewhere: options that the study file says in places of its own.
    """
    given = dict(settings.values)
    values = {}
    for field in dataclasses.fields(options):
        if field.name not in elsewhere | OF_THE_MACHINE and not field.name.startswith("allow_"):
            values[field.name] = given.get(field.name, field.default)
    return {name: value for name, value in values.items() if value not in (None, (), dataclasses.MISSING)}


def _target(target: Target) -> dict[str, object]:
    own = {key: value for key, value in vars(target).items() if key not in ("settings", "draws")}
    own["labels"] = "all" if target.labels == ("all",) else target.labels
    return {**_given(own), "draws": target.draws, **_plain(target.settings)}


def _as_yaml(value: object) -> object:
    """A value of lists, mappings, text and numbers alone."""
    if isinstance(value, Mapping):
        return {key: _as_yaml(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_yaml(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _plain(settings: Settings) -> dict[str, PlainValue]:
    return {name: value for name, value in settings.values if value is not None}


def _given(values: Mapping[str, object], *left_out: str) -> dict[str, object]:
    return {key: value for key, value in values.items() if key not in left_out and value not in (None, ())}


def cell_state(folder: Path, record: CellRecord) -> CellState:
    """Look at a cell's directory. record: what `cell_record` says now."""
    planned, now = _read(folder / CELL), record.as_json()
    if planned is None:
        return CellState(MISSING)
    differing = _differing(planned, now)
    if differing:
        return CellState(CHANGED, differing=differing)
    done = _read(folder / DONE)
    if done is not None and done.value.get("cell") == _digest(planned.value):
        return CellState(FINISHED, seconds=done.optional("seconds", JsonValue.number) or 0.0)
    failed = _read(folder / FAILED)
    return CellState(MISSING) if failed is None else CellState(BROKEN, error=str(failed.value.get("error", "")))


def write_planned(folder: Path, record: CellRecord) -> None:
    """Record the options of a cell before it is trained."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json_atomically(folder / CELL, record.as_json().value)


def write_done(folder: Path, record: CellRecord, seconds: float) -> None:
    """Record that a cell is finished."""
    digest = _digest(record.as_json().value)
    content = {"format_version": _FORMAT_VERSION, "cell": digest, "seconds": round(seconds, 3)}
    write_json_atomically(folder / DONE, content)
    (folder / FAILED).unlink(missing_ok=True)


def write_failed(folder: Path, error: str) -> None:
    """Record why a cell failed, where its folder allows it; the next sweep tries it again."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_json_atomically(folder / FAILED, {"format_version": _FORMAT_VERSION, "error": error})


def _read(path: Path) -> JsonValue | None:
    """A record; None where there is none, or a damaged one: the cell is then looked at again, and nothing is lost."""
    try:
        content = parse_json(path.read_bytes())
    except (OSError, JsonError):
        return None
    return content if isinstance(content.value, dict) else None


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _without_later(options: Config, earlier: Config) -> Config:
    """Leave out options that earlier releases did not have, where they are at the value that those had (`earlier`).

    So the record of a cell stays the same, and what was trained stays done.
    """
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return {name: value for name, value in options.items() if name not in earlier or plain[name] != earlier[name]}


def _differing(then: JsonValue, now: JsonValue) -> dict[str, tuple[object, object]]:
    """Keys whose values differ, those of the options by their own names."""
    found: dict[str, tuple[object, object]] = {}
    for key in {**then.value, **now.value}:
        one, other = (JsonValue(content.value.get(key)) for content in (then, now))
        if isinstance(one.value, dict) and isinstance(other.value, dict):
            found |= _differing(one, other)
        elif one != other:
            found[key] = (one.value, other.value)
    return found
