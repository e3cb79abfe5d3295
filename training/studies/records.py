"""What a study's folder says of a cell: cell.json (its options), done.json (when it is finished), failed.json (if not).

A cell is done when done.json is there and is of the same options as the study file's now.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shards.durable import json_bytes, write_json_atomically
from shards.terminal.options import free_keys
from training.options import with_row_filter
from training.pretraining.options import PretrainOptions
from training.studies.cells import Cell, RunPlan
from training.studies.study_file import Study

CELL, DONE, FAILED = "cell.json", "done.json", "failed.json"

MISSING, FINISHED, CHANGED, BROKEN = "missing", "done", "changed", "failed"
"""States of a cell. changed: made with other options than the study file has now."""

_FORMAT_VERSION = 1


@dataclass(frozen=True)
class CellState:
    """state: one of the above. differing: of a changed cell, key -> (then, now). error: of a failed one.

    seconds: what a finished one took.
    """

    state: str
    differing: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


def cell_record(study: Study, cell: Cell) -> dict[str, Any]:
    """List the options of a cell as cell.json holds them: no path of this machine, all that the study file decides."""
    options = cell.options(study, data=Path(), output=Path())
    own = {name: value for name, value in dataclasses.asdict(options).items() if name not in free_keys(type(options))}
    own = with_row_filter(own, options.row_filter)
    record = {
        "format_version": _FORMAT_VERSION,
        "run": cell.run.path,
        "pretraining": _digest(run_record(study, cell.run)),
        "arm": {"name": cell.arm.name, "at": cell.arm.at, "backbone_from": cell.arm.backbone_from},
        "method": cell.method,
        "variant": cell.variant.name,
        "target": cell.target.name,
        "dataset": cell.target.dataset,
        "options": own,
    }
    plain: dict[str, Any] = json.loads(json_bytes(record))
    return plain


def run_record(study: Study, run: RunPlan) -> dict[str, Any]:
    """List the options of a pretraining run that change its weights."""
    options = run.options(study, data=Path(), output=Path())
    left_out = free_keys(PretrainOptions) | {"device", "threads"}
    values = {name: value for name, value in dataclasses.asdict(options).items() if name not in left_out}
    return {**with_row_filter(values, options.row_filter), "datasets": list(run.pretraining.shards)}


def cell_state(folder: Path, record: Mapping[str, Any]) -> CellState:
    """Look at a cell's directory. record: what `cell_record` says now."""
    planned = _read(folder / CELL)
    if planned is None:
        return CellState(MISSING)
    if planned != record:
        return CellState(CHANGED, differing=_differing(planned, record))
    done = _read(folder / DONE)
    if done is not None and done.get("cell") == _digest(record):
        return CellState(FINISHED, seconds=float(done.get("seconds", 0.0)))
    failed = _read(folder / FAILED)
    return CellState(MISSING) if failed is None else CellState(BROKEN, error=str(failed.get("error", "")))


def write_planned(folder: Path, record: Mapping[str, Any]) -> None:
    """Record the options of a cell before it is trained."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json_atomically(folder / CELL, record)


def write_done(folder: Path, record: Mapping[str, Any], seconds: float) -> None:
    """Record that a cell is finished."""
    content = {"format_version": _FORMAT_VERSION, "cell": _digest(record), "seconds": round(seconds, 3)}
    write_json_atomically(folder / DONE, content)
    (folder / FAILED).unlink(missing_ok=True)


def write_failed(folder: Path, error: str) -> None:
    """Record why a cell failed, where its folder allows it; the next sweep tries it again."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_json_atomically(folder / FAILED, {"format_version": _FORMAT_VERSION, "error": error})


def _read(path: Path) -> dict[str, Any] | None:
    """A record; None where there is none, or a damaged one: the cell is then looked at again, and nothing is lost."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).hexdigest()


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys whose values differ, those of the options by their own names."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in [*then, *(key for key in now if key not in then)]:
        one, other = then.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= _differing(one, other)
        elif one != other:
            found[key] = (one, other)
    return found
