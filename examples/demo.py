"""Run the whole path on phantoms, in minutes on two cores, with nothing but this project: `make demo`.

    python -m examples.demo OUT

Writes the phantom, the shards, the run, the models, the results and report.html into OUT. Run it again after an
interruption: what is finished is kept.
"""

from pathlib import Path

import click

from experiments.commands import IMAGENET, Stopwatch, Study, Task, arms, run
from shards.format.dataset import open_dataset

IMAGE_SIZE = 48
SHORT_SIDE = 60
SHARED = ("--image-size", str(IMAGE_SIZE), "--device", "cpu")

CHEXPERT_LABELS = ("Edema", "Pleural Effusion")
# The published single-task code reads CheXpert's labels this way; see docs/reproducing.md.
CHEXPERT_POLICY = ("--uncertain", "ones", "--missing", "zeros")
CHEXPERT_FRACTIONS = (0.05, 0.25, 1.0)
SHENZHEN_FRACTIONS = (0.125, 0.5, 1.0)
FINE_TUNING = ("--batch-size", "32", "--lr", "0.001", "--min-steps", "8", "--epochs")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--chexpert-patients", default=450, show_default=True, help="Number of patients of the CheXpert phantom.")
@click.option("--shenzhen-images", default=300, show_default=True, help="Number of images of the Shenzhen phantom.")
@click.option("--epochs", type=int, help="Number of epochs of pretraining.  [default: the recipe's]")
def main(out: Path, chexpert_patients: int, shenzhen_images: int, epochs: int | None) -> None:
    """Run the whole path on phantom radiographs, and write everything into OUT."""
    watch = Stopwatch()
    phantom = out / "phantom"
    run(
        "cxr-ingest", "make-phantom", phantom, "--chexpert-patients", chexpert_patients,
        "--shenzhen-images", shenzhen_images,
    )  # fmt: skip
    watch.lap("phantom")
    shards = {name: out / "shards" / name for name in ("chexpert", "shenzhen")}
    built = ("--short-side", SHORT_SIDE, "--samples-per-shard", 512, "--name")
    run(
        "cxr-ingest", "build-shards", phantom / "CheXpert-v1.0-small", shards["chexpert"], "--dataset", "chexpert",
        "--test-source", phantom / "CheXpert-test", *built, "chexpert-phantom",
    )  # fmt: skip
    run(
        "cxr-ingest", "build-shards", phantom / "ChinaSet_AllFiles", shards["shenzhen"], "--dataset", "shenzhen",
        *built, "shenzhen-phantom",
    )  # fmt: skip
    for name, folder in shards.items():
        run("cxr-ingest", "verify", folder)
        run("cxr-ingest", "preview", folder, out / f"{name}.png")
    watch.lap("shards")
    pretrained = out / "pretrain"
    run(
        "cxr-train", "pretrain", "--config", "demo", "--shards", shards["chexpert"], "--output", pretrained,
        "--image-size", IMAGE_SIZE, "--device", "cpu", *(() if epochs is None else ("--epochs", epochs)),
    )  # fmt: skip
    watch.lap("pretraining")
    study = Study(out, shards, arms("resnet18", pretrained), SHARED)
    cache = ("--cache", str(out / "embeddings"))
    tasks = [
        Task("probe", "chexpert", CHEXPERT_LABELS, CHEXPERT_FRACTIONS, 1, (*CHEXPERT_POLICY, *cache)),
        Task("probe", "shenzhen", ("Tuberculosis",), SHENZHEN_FRACTIONS, 1, cache),
        Task("finetune", "chexpert", CHEXPERT_LABELS, CHEXPERT_FRACTIONS, 1, (*CHEXPERT_POLICY, *FINE_TUNING, "6")),
        Task("finetune", "shenzhen", ("Tuberculosis",), SHENZHEN_FRACTIONS, 1, (*FINE_TUNING, "4")),
    ]
    for task in tasks:
        study.answer(task)
        watch.lap(f"{task.method} {task.dataset}")
    run("cxr-eval", "report", out, "--output", out / "report.html", "--with-images")
    watch.lap("report")
    click.echo("\nWhat pretraining bought over its random start, AUROC on the test split of phantoms:\n")
    click.echo("\n".join(study.gains(tasks)))
    if IMAGENET not in study.backbones:
        click.echo(
            "\nImageNet: not run, since torchvision's file of weights is not in its cache (the README says how)."
        )
    tests = {name: len(open_dataset(folder).samples.query("split == 'test'")) for name, folder in shards.items()}
    click.echo(
        f"One draw of each fraction; test images: {tests}. Phantoms show that the path works, not what MoCo is worth."
    )
    click.echo(f"\n{watch}")
    click.echo(f"Look at {out / 'report.html'}, {out / 'chexpert.png'}, {pretrained / 'two_views.png'}")


if __name__ == "__main__":
    main()
