"""Check that the phantom's findings can be learned, but not from raw pixels: a network against a linear model.

    python -m experiments.phantom_learnability OUT

Trains a logistic regression on 32 x 32 pixels and a ResNet-18 end to end, both on the same patients, and tests both on
the same other patients. The linear model may choose its regularisation on the test patients, so that it looks as good
as it can.
"""

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.commands import Stopwatch, run
from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from shards.loading.loaders import EvaluationLoader
from training.labels import PLAIN, LabelPolicy, targets

IMAGE_SIZE = 64
PIXELS = 32
REGULARISATIONS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
CHEXPERT_LABELS = ("Edema", "Pleural Effusion", "Cardiomegaly", "Consolidation")
OPTIONS = {"chexpert": ("--uncertain", "ignore", "--missing", "zeros"), "shenzhen": ()}

Features = npt.NDArray[np.float32]


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--patients", default=1500, show_default=True, help="Number of patients in the CheXpert phantom's train.csv."
)
@click.option("--cases", default=1000, show_default=True, help="Number of images of the Shenzhen phantom.")
@click.option(
    "--epochs", default=12, show_default=True, help="Number of epochs on CheXpert; twice as many on Shenzhen."
)
def main(out: Path, patients: int, cases: int, epochs: int) -> None:
    """Draw phantoms, learn them both ways, compare, and write everything into OUT."""
    watch = Stopwatch()
    phantom = out / "phantom"
    run("cxr-ingest", "make-phantom", phantom, "--chexpert-patients", patients, "--shenzhen-images", cases)
    watch.lap("phantom")
    sources = {"chexpert": phantom / "CheXpert-v1.0-small", "shenzhen": phantom / "ChinaSet_AllFiles"}
    for name, source in sources.items():
        run(
            "cxr-ingest", "build-shards", source, out / "shards" / name, "--dataset", name, "--name", f"{name}-phantom",
            "--short-side", 80, "--test-fraction", 0.3,
        )  # fmt: skip
    watch.lap("shards")
    for name, labels, passes in (("chexpert", CHEXPERT_LABELS, epochs), ("shenzhen", ("Tuberculosis",), 2 * epochs)):
        folder, shards = out / name, out / "shards" / name
        run(
            "cxr-train", "finetune", "--shards", shards, "--backbone-from", "random", "--image-size", IMAGE_SIZE,
            "--labels", ",".join(labels), *OPTIONS[name], "--epochs", passes, "--batch-size", 32, "--lr", 0.001,
            "--device", "cpu", "--output", folder,
        )  # fmt: skip
        run("cxr-eval", "predict", "--shards", shards, "--model", folder, "--output", folder / "network.csv")
        pixel_scores(open_dataset(shards), labels).to_csv(folder / "pixels.csv", index=False)
        run(
            "cxr-eval", "bootstrap", "--labels", shards, "--model", folder / "network.csv", "--baseline",
            folder / "pixels.csv", "--output", folder / "result.json",
        )  # fmt: skip
        watch.lap(name)
    click.echo(f"\n{watch}")


def pixel_scores(dataset: Dataset, labels: tuple[str, ...]) -> pd.DataFrame:
    """Predict the probability of each label for the test split's samples, by key, from pixels alone."""
    policy = LabelPolicy("ignore", "zeros") if len(dataset.label_names) > 1 else PLAIN
    train, test = select(dataset, "train"), select(dataset, "test")
    pixels, test_pixels = _pixels(dataset, train), _pixels(dataset, test)
    wanted, truth = targets(train, labels, policy), targets(test, labels, PLAIN)
    table = pd.DataFrame({"key": test["key"]})
    for column, label in enumerate(labels):
        known, judged = ~np.isnan(wanted[:, column]), ~np.isnan(truth[:, column])
        best = 0.0
        for strength in REGULARISATIONS:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
            scores = model.fit(pixels[known], wanted[known, column]).predict_proba(test_pixels)[:, 1]
            auroc = float(roc_auc_score(truth[judged, column], scores[judged]))
            if auroc > best:
                best, table[label] = auroc, scores
    return table


def _pixels(dataset: Dataset, rows: pd.DataFrame) -> Features:
    """Load the fixed view of each row, float32 [N, PIXELS * PIXELS]."""
    loader = EvaluationLoader(dataset, rows, image_size=PIXELS, batch_size=64)
    return np.concatenate([batch.image.numpy().reshape(len(batch.image), -1) for batch in loader]).astype(np.float32)


if __name__ == "__main__":
    main()
