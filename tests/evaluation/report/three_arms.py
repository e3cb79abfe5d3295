"""A folder of results of three arms by the real commands, with names that may be long, right to left, or markup."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from evaluation.cli.main import main
from tests.evaluation.files import write_csv

ARMS = ("moco", "random", "imagenet")
FRACTIONS = (0.01, 0.1, 1.0)
DRAWS = 3


@dataclass(frozen=True)
class Names:
    """What comes from outside. run: also a folder's name, at most 255 bytes."""

    dataset: str = "chexpert"
    labels: tuple[str, ...] = ("Edema", "Pleural Effusion")
    group: str = "ward A"
    reader: str = "Reader 1"
    run: str = "densenet121-seed0"


@dataclass(frozen=True)
class Size:
    """rows, units: of the judged split. positive: the fraction of positives. replicates: of the bootstrap."""

    rows: int = 240
    units: int = 120
    positive: float = 0.4
    replicates: int = 400


def build_three_arms(root: Path, names: Names | None = None, size: Size | None = None) -> Path:
    """Write truth, predictions, results, curves with readers, calibration and a run; returns the study's folder."""
    names, size = names or Names(), size or Size()
    generator = np.random.default_rng(0)
    truth = (generator.random((size.rows, len(names.labels))) < size.positive).astype(int)
    truth[:2] = [[1], [0]]
    groups = [names.group if row % 3 else "other" for row in range(size.rows)]
    rows = [[f"k{row}", f"p{row % size.units}", groups[row], *truth[row]] for row in range(size.rows)]
    write_csv(root / "truth.csv", ["key", "patient_id", "place", *names.labels], rows)
    readers = [["k" + str(row), names.reader, *(truth[row] ^ (generator.random(len(truth[row])) < 0.15))]
               for row in range(0, size.rows, 2)]  # fmt: skip
    write_csv(root / "readers.csv", ["key", "reader", *names.labels], readers)
    study = root / "study"
    for fraction in FRACTIONS:
        arms: list[str] = []
        for place, arm in enumerate(ARMS):
            files = []
            for draw in range(DRAWS):
                gain = 1.3 - 0.3 * place + 0.2 * np.log10(fraction) + 0.1 * generator.normal()
                scores = 1 / (1 + np.exp(-(generator.normal(size=truth.shape) + gain * truth - 0.4)))
                files.append(_predictions(root / "predictions" / f"{arm}-{fraction}-{draw}.csv", names, scores,
                                          (arm, fraction, draw)))  # fmt: skip
            arms += ["--arm", f"{arm}={','.join(map(str, files))}"]
        words = ["bootstrap", "--labels", root / "truth.csv", *arms, "--reference", "random"]
        words += ["--replicates", size.replicates, "--by", "place", "--output", study / "results" / f"r{fraction}.json"]
        words += ["--curves", study / "results" / f"r{fraction}-curves.json", "--readers", root / "readers.csv"]
        _run(*words)
    model = root / "predictions" / "moco-1.0-0.csv"
    _run("calibration", "--labels", root / "truth.csv", "--model", model, "--output", study / "results" / "c.json")
    _write_run(study / "runs" / names.run)
    return study


def _run(*words: object) -> None:
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output


def _predictions(path: Path, names: Names, scores: np.ndarray, of: tuple[str, float, int]) -> Path:
    initial, fraction, draw = of
    write_csv(path, ["key", *names.labels], [[f"k{row}", *one] for row, one in enumerate(scores)])
    dataset = {"name": names.dataset, "digest": "0" * 64}
    start = {"method": "moco-v2", "init": "imagenet", "seed": 0} if initial == "moco" else {"method": "none"}
    model = {
        "digest": f"{initial}{fraction}{draw}",
        "method": "finetune",
        "initial": initial,
        "architecture": "densenet121",
        "labels": list(names.labels),
        "label_fraction": fraction,
        "draw": draw,
        "dataset": dataset,
        "provenance": start,
    }
    sidecar = {
        "format_version": 1,
        "id": "key",
        "labels": list(names.labels),
        "rows": len(scores),
        "split": "test",
        "aggregate": "image",
        "dataset": dataset,
        "model": model,
        "seen_patients": 0,
        "allow_seen_patients": False,
    }
    path.with_name(path.name + ".json").write_text(json.dumps(sidecar))
    return path


def _write_run(folder: Path) -> None:
    """An unfinished run with every health figure."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("backbone: densenet121\ninit: imagenet\nimage_size: 320\nseed: 0\n")
    lines = []
    for step in range(10, 400, 10):
        falling = float(np.exp(-step / 150))
        lines.append(
            {"step": step, "epoch": step // 100, "loss": 4 + 3 * falling, "top1": 0.6 - 0.5 * falling, "lr": 0.03,
             "positive": 0.9 - 0.3 * falling, "hardest_negative": 0.5, "effective_rank": 40 - 30 * falling,
             "feature_std": 0.08 - 0.03 * falling, "gradient_norm": 1 + falling, "momentum_distance": 0.01,
             "knn_auroc": 0.7 - 0.1 * falling, "images_per_second": 900.0, "data_wait": 0.02, "seconds": step}
        )  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "last.json").write_text(json.dumps({"checkpoint": "x", "step": 390, "epoch": 1, "finished": False}))
