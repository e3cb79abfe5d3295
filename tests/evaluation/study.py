"""A study folder like a real one: datasets, runs, models, and results of the real bootstrap on simulated predictions.

CheXpert with five labels and Shenzhen with one, probe and fine-tuning, three fractions, three draws, MoCo against a
random start; one pretraining run that is finished and one that was stopped while it wrote.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from evaluation.statistics.analysis import bootstrap_result
from evaluation.statistics.options import AnalysisOptions
from evaluation.tables.comparison import ArmTables, compare
from evaluation.tables.table import read_predictions
from evaluation.tables.truth import read_truth
from shards.contact_sheet import contact_sheet
from shards.durable import write_json_atomically
from shards.format.dataset import Dataset
from tests.evaluation.files import build_dataset

CHEXPERT_LABELS = ["Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion"]
FRACTIONS = {"chexpert": (0.01, 0.1, 1.0), "shenzhen": (0.0625, 0.25, 1.0)}
DRAWS = 3
STEPS = 1200


def build_study(root: Path) -> Path:
    """Write the folder and return it."""
    chexpert = _dataset(
        root / "shards" / "chexpert", "chexpert", CHEXPERT_LABELS, {"train": 60, "valid": 20, "test": 180}
    )
    shenzhen = _dataset(root / "shards" / "shenzhen", "shenzhen", ["Tuberculosis"], {"train": 40, "test": 120})
    write_run(root / "pretrain" / "moco", [chexpert, shenzhen], finished=True)
    write_run(root / "pretrain" / "moco-densenet", [chexpert], finished=False)
    for dataset in (chexpert, shenzhen):
        for method in ("probe", "finetune"):
            for fraction in FRACTIONS[dataset.name]:
                _write_comparison(root, dataset, method, fraction)
    return root


def write_run(folder: Path, datasets: list[Dataset], *, finished: bool) -> None:
    """A run directory as `cxr-train pretrain` leaves it; an unfinished one ends in half a line of metrics."""
    folder.mkdir(parents=True)
    config = {
        "shards": [f"somewhere/{dataset.name}" for dataset in datasets],
        "output": "somewhere/run",
        "backbone": "resnet18" if finished else "densenet121",
        "init": "random",
        "image_size": 96,
        "batch_size": 64,
        "epochs": 20,
        "lr": 0.03,
        "queue_size": 4096,
        "seed": 0,
    }
    remarks = "".join(f"# dataset {d.name}: somewhere/{d.name}, digest {d.digest}\n" for d in datasets)
    (folder / "config.yaml").write_text(f"{remarks}# torch 2.14.1\n" + yaml.safe_dump(config, sort_keys=False))
    (folder / "patients.parquet").write_bytes(b"")
    steps = STEPS if finished else STEPS // 3
    lines = [json.dumps(line) for line in pretraining_metrics(steps)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + ("\n" if finished else '\n{"step": 40'))
    checkpoint = f"checkpoints/step-{steps:08d}.pt"
    last = {"checkpoint": checkpoint, "step": steps, "epoch": steps // 60, "finished": finished}
    write_json_atomically(folder / "last.json", last)
    if finished:
        write_json_atomically(folder / "backbone.json", backbone_description(datasets))
        write_two_views(folder / "two_views.png")


def backbone_description(datasets: list[Dataset]) -> dict[str, Any]:
    """backbone.json."""
    return {
        "format_version": 1,
        "architecture": "resnet18",
        "image_size": 96,
        "mean": 128.4,
        "std": 60.1,
        "channels": 3,
        "provenance": {
            "method": "moco-v2",
            "init": "random",
            "seed": 0,
            "epochs": 20,
            "steps": STEPS,
            "datasets": [dataset.citation for dataset in datasets],
        },
    }


def pretraining_metrics(steps: int) -> list[dict[str, float]]:
    """Lines of metrics.jsonl, one each ten steps: a loss that rises as the queue fills, then falls."""
    generator = np.random.default_rng(steps)
    lines = []
    for step in range(10, steps + 1, 10):
        loss = 8.3 - 2.2 * (1 - math.exp(-step / 500)) - 3 * math.exp(-step / 40) + generator.normal(0, 0.06)
        lines.append(
            {
                "step": step,
                "epoch": (step - 1) // 60,
                "loss": loss,
                "top1": min(1.0, 0.55 * (1 - math.exp(-step / 400)) + abs(generator.normal(0, 0.02))),
                "lr": 0.03 * (1 + math.cos(math.pi * step / STEPS)) / 2,
                "images_per_second": 52 + generator.normal(0, 2),
                "data_wait": abs(generator.normal(0.012, 0.006)),
                "seconds": step * 64 / 52,
            }
        )
    return lines


def write_two_views(path: Path) -> None:
    """A contact sheet of smooth noise, in pairs."""
    generator = np.random.default_rng(3)
    coarse = generator.integers(30, 220, (8, 6, 6)).astype(np.uint8)
    images = [np.kron(image, np.ones((16, 16), np.uint8)) for image in coarse for _ in (0, 1)]
    captions = [f"sample {number}, {view}" for number in range(8) for view in ("query", "key")]
    contact_sheet(images, captions, 4, "Both views of a first batch", cell=96).save(path)


def _dataset(root: Path, name: str, labels: list[str], counts: Mapping[str, int]) -> Dataset:
    """Two images a patient; each label positive in a quarter, one in twenty unknown."""
    generator = np.random.default_rng(len(labels))
    rows = []
    for split, count in counts.items():
        for number in range(count):
            known = {label: float(generator.random() < 0.25) for label in labels}
            truth = {label: None if generator.random() < 0.05 else value for label, value in known.items()}
            patient = f"{split}{number // 2}"
            key = f"{patient}_study1_{number}"
            rows.append({"key": key, "patient_id": patient, "study_id": f"study{number}", "split": split, **truth})
    return build_dataset(root, rows, labels, name)


def _write_comparison(root: Path, dataset: Dataset, method: str, fraction: float) -> None:
    """Models of both arms with their predictions, and the bootstrap of one arm against the other."""
    arms = []
    for name_of_arm, initial, gain in (("model", "moco", 1.2), ("baseline", "random", 0.7)):
        strength = gain + 0.25 * math.log10(fraction) + (0.3 if method == "finetune" else 0.0)
        paths = []
        for draw in range(DRAWS):
            name = f"{dataset.name}-{method}-{initial}-{100 * fraction:g}-draw{draw}"
            model = _write_model(root / "models" / name, dataset, method, initial, fraction, draw)
            path = root / "predictions" / f"{name}.csv"
            _write_predictions(path, dataset, model, strength, seed=len(name) + draw)
            paths.append(path)
        arms.append(ArmTables(name_of_arm, tuple(table for path in paths for table in read_predictions(path))))
    comparison = compare(read_truth(dataset.root, [table for arm in arms for table in arm.tables]), arms)
    result = bootstrap_result(comparison, AnalysisOptions(replicates=400), "baseline")
    (root / "results").mkdir(exist_ok=True)
    write_json_atomically(root / "results" / f"{dataset.name}-{method}-{100 * fraction:g}.json", result.as_json())


def _write_model(
    folder: Path, dataset: Dataset, method: str, initial: str, fraction: float, draw: int
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    labels = list(dataset.label_names)
    generator = np.random.default_rng(draw)
    valid = {"auroc": round(0.7 + 0.1 * fraction + 0.02 * generator.random(), 4), "n": 20, "positives": 5}
    split = valid if dataset.description.splits["valid"].samples else None
    test = {"auroc": valid["auroc"], "n": 170, "positives": 45}
    provenance = backbone_description([dataset])["provenance"] if initial == "moco" else {"method": "none"}
    description = {
        **backbone_description([dataset]),
        "provenance": provenance,
        "method": method,
        "initial": initial,
        "labels": labels,
        "label_fraction": fraction,
        "draw": draw,
        "seed": 0,
        "uncertain": "ignore",
        "missing": "ignore",
        "dataset": dataset.citation,
        "train_samples": max(2, round(fraction * 60)),
        "train_patients": max(1, round(fraction * 30)),
        "results": {label: {"valid": split, "test": test} for label in labels},
        "digest": "0" * 64,
    }
    if method == "finetune":
        description |= {"best_epoch": 3 + draw, "epochs": 5, "selected_on": {"epoch": "valid"}}
    else:
        how = {"C": 10.0 ** (draw - 2), "chosen_by": "cross-validation", "chosen_on": 40, "folds": 5}
        description |= {"regularisation": dict.fromkeys(labels, how), "selected_on": {"C": "train"}}
    write_json_atomically(folder / "model.json", description)
    if method == "finetune":
        lines = [
            {
                "step": 20 * epoch,
                "epoch": epoch,
                "loss": 0.7 * math.exp(-epoch / 4) + 0.02 * generator.random(),
                "lr": 1e-4,
                "valid_auroc": 0.5 + (0.3 if initial == "moco" else 0.2) * (1 - math.exp(-epoch / 2)) * fraction**0.1,
            }
            for epoch in range(1, 6)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return description


def _write_predictions(path: Path, dataset: Dataset, model: Mapping[str, Any], strength: float, seed: int) -> None:
    """Probabilities of the test split whose AUROC is about Phi(strength / sqrt 2)."""
    generator = np.random.default_rng(seed)
    rows = dataset.samples[dataset.samples["split"] == "test"]
    columns = {}
    for label in dataset.label_names:
        truth = rows[label].fillna(0).to_numpy()
        columns[label] = 1 / (1 + np.exp(-(generator.normal(size=len(rows)) + strength * truth)))
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame({"key": rows["key"].to_numpy(), **columns}).to_csv(path, index=False)
    cited = ("digest", "method", "initial", "architecture", "labels", "label_fraction", "draw", "seed", "dataset")
    write_json_atomically(
        path.with_name(path.name + ".json"),
        {
            "format_version": 1,
            "id": "key",
            "labels": list(dataset.label_names),
            "rows": len(rows),
            "split": "test",
            "aggregate": "image",
            "dataset": dataset.citation,
            "model": {key: model[key] for key in (*cited, "provenance")},
            "seen_patients": 0,
            "allow_seen_patients": False,
        },
    )
