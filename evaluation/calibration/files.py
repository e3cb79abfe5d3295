"""Judge the calibration of files of predictions, and write it as JSON."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from evaluation.calibration.calibrate import Calibration, calibrate
from evaluation.calibration.options import CalibrationOptions
from evaluation.statistics.result import ArmInput, input_as_json
from evaluation.tables.agreement import DIFFERENCES
from evaluation.tables.arm_files import ArmFiles
from evaluation.tables.comparison import ArmTables, Comparison, compare
from evaluation.tables.leakage import Allowed
from evaluation.tables.table import read_predictions
from evaluation.tables.truth import read_truth
from shards.durable import write_json_atomically

FORMAT_VERSION = 1
_LIBRARIES = ("cxr-moco", "numpy", "scipy")


def judge_calibration(options: CalibrationOptions, arms: Sequence[ArmFiles]) -> Calibration:
    """Read, judge and write to options.output. Raises TableError where truth and predictions cannot be joined."""
    read = [ArmTables(arm.name, tuple(t for path in arm.files for t in read_predictions(path))) for arm in arms]
    truth = read_truth(options.labels, [table for arm in read for table in arm.tables])
    comparison = compare(
        truth, read, options.cluster, probabilities=True, allowed=DIFFERENCES, leakage=Allowed(True, True)
    )
    found = calibrate(comparison, options.level, options.bins)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(options.output, as_json(found, comparison, options))
    return found


def as_json(found: Calibration, comparison: Comparison, options: CalibrationOptions) -> dict[str, Any]:
    """The mapping that is written, its keys in the order of docs/statistics.md."""
    files = {
        arm.name: [
            input_as_json(ArmInput(file.path, file.sha256, draw.number, draw.pretraining_seed, file.sidecar))
            for file, draw in zip(arm.files, arm.draws, strict=True)
        ]
        for arm in comparison.arms
    }
    return {
        "format_version": FORMAT_VERSION,
        "kind": "calibration",
        "level": options.level,
        "bins": options.bins,
        "unit": comparison.unit_name,
        "units": comparison.units,
        "warnings": list(found.warnings),
        "arms": {arm: {label: asdict(one) for label, one in labels.items()} for arm, labels in found.arms.items()},
        "inputs": {"labels": comparison.truth_origin.as_json(), "arms": files},
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def summary(found: Calibration, level: float) -> str:
    """A line an arm and label for the terminal."""
    lines = [f"Calibration with {100 * level:g} % intervals; at best the intercept is 0 and the slope 1"]
    for arm, labels in found.arms.items():
        for label, one in labels.items():
            figures = (
                f"{name} {'undefined' if figure.value is None else f'{figure.value:.3f}'}"
                + ("" if figure.ci is None else f" ({figure.ci[0]:.3f}, {figure.ci[1]:.3f})")
                for name, figure in (("intercept", one.intercept), ("slope", one.slope), ("Brier", one.brier))
            )
            lines.append(f"{arm}, {label} ({one.n} rows, {one.positives} positive): {', '.join(figures)}")
    return "\n".join(lines)
