"""Text of a small study file, and ways to change it: what the tests of studies begin with."""

import copy
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from training.cli.main import main as cxr_train

CONTENT: dict[str, Any] = {
    "study_version": 1,
    "name": "small",
    "datasets": {"labelled": {"shards": "labelled", "splits": {"train": 41, "valid": None, "test": 11}}},
    "pretraining": {
        "tiny": {
            "recipe": "moco_small_cpu",
            "shards": ["labelled"],
            "seeds": [0],
            **{"image_size": 32, "batch_size": 8, "epochs": 1, "queue_size": 16},
        }
    },
    "arms": {"start": {"at": "start"}, "moco": {"at": "end"}},
    "reference": "start",
    "methods": {
        "probe": {},
        "finetune": {"epochs": 2, "min_steps": 3, "batch_size": 8, "lr": 1e-3},
    },
    "variants": {"plain": {"uncertain": "ignore"}},
    "run": ["plain"],
    "targets": [
        {
            **{"name": "edema", "dataset": "labelled", "labels": ["Edema"], "fractions": [0.5, 1.0], "draws": 2},
            **{"aggregate": "image"},
        }
    ],
    "seed": 0,
    "evaluation": {
        "split": "test",
        "metrics": ["auroc"],
        "replicates": 400,
        "family": ["target", "method", "backbone"],
    },
}
"""12 cells: 2 arms x 2 methods x (2 draws of 0.5 and one of 1.0)."""


def changed(*keys: str | int, value: object) -> dict[str, Any]:
    """A copy of the small study with one value changed, at a path of keys."""
    content: dict[str, Any] = copy.deepcopy(CONTENT)
    place: Any = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return content


def write_study(path: Path, content: dict[str, Any] | None = None) -> Path:
    """Write a study file, the small one by default."""
    path.write_text(yaml.safe_dump(content or CONTENT, sort_keys=False), encoding="utf-8")
    return path


def sweep(study: Path, output: Path, *words: object) -> Result:
    """`cxr-train sweep` in this process, on the CPU with one thread, with data beside the study file."""
    options = ("--output", output, "--data", study.parent, "--device", "cpu", "--threads", 1, *words)
    return CliRunner().invoke(cxr_train, ["sweep", str(study), *map(str, options)])
