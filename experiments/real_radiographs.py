"""Run the whole path on real radiographs: shards, pretraining on two sets, probes on three, intervals, report.

    python -m experiments.real_radiographs DATA OUT [--epochs 20] [--draws 5]

DATA holds nih-as-chexpert/, kermany-as-chexpert/ and shenzhen/ (none of them part of the project). Writes the shards,
the run, the models, the results and report.html into OUT. Run it again after an interruption: what is finished is kept.
"""

from pathlib import Path

import click

from experiments.commands import Stopwatch, Study, Task, arms, build_shards, run

IMAGE_SIZE = 96
SHORT_SIDE = 112
SEED = 0

TASKS = (
    ("probe", "kermany", ("Pneumonia",), (0.01, 0.1, 1.0)),
    ("probe", "nih", ("Pneumonia", "Edema"), (1.0,)),
    ("probe", "shenzhen", ("Tuberculosis",), (0.0625, 0.25, 1.0)),
)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--epochs", default=20, show_default=True, help="Number of epochs of pretraining.")
@click.option("--draws", default=5, show_default=True, help="Number of random training subsets a fraction.")
@click.option("--threads", default=2, show_default=True, help="Number of CPU threads of training.")
def main(data: Path, out: Path, epochs: int, draws: int, threads: int) -> None:
    """Run the path on the radiographs in DATA, and write everything into OUT."""
    watch = Stopwatch()
    shards = build_shards(data, out, SHORT_SIDE)
    watch.lap("shards")
    pretrained = out / "pretrain"
    run(
        "cxr-train", "pretrain", "--shards", shards["nih"], "--shards", shards["kermany"], "--output", pretrained,
        "--init", "random", "--image-size", IMAGE_SIZE, "--batch-size", 64, "--epochs", epochs, "--optimizer", "sgd",
        "--lr", 0.03, "--weight-decay", 1e-4, "--schedule", "cosine", "--queue-size", 2048, "--momentum", 0.99,
        "--seed", SEED, "--device", "cpu", "--threads", threads,
    )  # fmt: skip
    watch.lap("pretraining")
    shared = ("--image-size", str(IMAGE_SIZE), "--seed", str(SEED), "--device", "cpu", "--threads", str(threads))
    study = Study(out, shards, arms("resnet18", pretrained), shared)
    tasks = [
        Task(method, dataset, labels, fractions, draws, ("--cache", str(out / "embeddings")))
        for method, dataset, labels, fractions in TASKS
    ]
    for task in tasks:
        study.answer(task)
    watch.lap("probes and statistics")
    run("cxr-eval", "report", out, "--output", out / "report.html")
    click.echo("\n" + "\n".join(study.gains(tasks)))
    click.echo(f"\n{watch}\n{out / 'report.html'}")


if __name__ == "__main__":
    main()
