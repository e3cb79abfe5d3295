"""Feed damaged files to the readers and commands of this project, and count how that ends: read, or a sentence.

Real files (weights, files of a run, datasets, Zarr groups, study files, recipes, tables) are damaged in ways that
follow from a number alone. A traceback, a refusal after more than ten seconds or memory without bound is a failure, and
is named by its number. At length, in parts that add up:

    python -m tests.robustness.fuzz --examples 20000
    python -m tests.robustness.fuzz --first 5000 --examples 5000
"""

import collections
import contextlib
import hashlib
import io
import json
import logging
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from evaluation.calibration.temperature import read_temperatures
from evaluation.report.study import collect
from evaluation.tables.table import read_predictions
from evaluation.tables.truth import read_truth
from evaluation.tables.zarr_scores import read_zarr_scores
from evaluation.threshold_files import read_thresholds
from shards.disk_errors import said_plainly
from shards.errors import CxrError
from shards.format.dataset import open_dataset
from shards.format.subsets import select
from shards.input_files import read_regular
from shards.terminal.options import from_recipe
from tests.robustness.commands import run_ingest
from tests.robustness.fuzz_damage import damage
from tests.robustness.fuzz_inputs import make_inputs
from training.backbones.published_checkpoint import read_published
from training.backbones.weight_files import read_weights_given
from training.downstream.embeddings import read_embeddings
from training.downstream.model_directory import load_model, load_results
from training.downstream.options import FinetuneOptions
from training.pretraining.checkpoint_state import load_run_state
from training.pretraining.options import PretrainOptions
from training.runs.backbone_from import load_backbone
from training.runs.checkpoints import newest_whole
from training.runs.directory import read_run
from training.runs.lock import locked
from training.runs.metrics_log import MetricsLog
from training.seen_patients import read_seen
from training.studies.cells import cells_of
from training.studies.study_file import read_study

PATIENCE_S, HANGS_S = 10, 60
"""Of the processor, for a refusal; by the clock, until it is said to hang."""
MOST_MEGABYTES = 1500
"""The libraries alone take 700."""


@dataclass(frozen=True)
class Target:
    """What is damaged and read. folder: of the inputs. files: patterns of those that are damaged. share: of turns."""

    folder: str
    files: tuple[str, ...]
    read: Callable[[Path], object]
    share: int = 1


def _checkpoint(folder: Path) -> object:
    step = newest_whole(folder)
    return None if step is None else load_run_state(folder, step)


def _run_files(folder: Path) -> None:
    found = read_run(folder)
    if found is not None:
        assert found.threads is None or found.threads > 0
        assert found.last is None or found.last.step >= 0
        with contextlib.suppress(CxrError):
            PretrainOptions(shards=(folder,), output=folder).differences(found.config)
    read_seen(folder)
    with locked(folder), MetricsLog(folder, start=3) as log:
        log.write({"step": 4, "loss": 1.0})


def _dataset(folder: Path) -> None:
    for split in ("train", "valid", "test"):
        select(open_dataset(folder, check_shards=False), split)


def _dataset_as_recorded(folder: Path) -> None:
    """Another samples.parquet whose SHA-256 is recorded: nothing but its content is wrong."""
    with contextlib.suppress(ValueError, OSError, KeyError, TypeError):
        content = json.loads((folder / "dataset.json").read_bytes())
        content["samples"]["sha256"] = hashlib.sha256(read_regular(folder / "samples.parquet")).hexdigest()
        (folder / "dataset.json").unlink()  # the same file as the undamaged one's
        (folder / "dataset.json").write_text(json.dumps(content))
    _dataset(folder)


def _info(folder: Path) -> None:
    result = run_ingest("info", folder, "--json")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise click.ClickException(result.output)


def _study(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        cells_of(read_study(path))


def _recipes(folder: Path) -> None:
    for name in ("demo", "moco_cxr_resnet18"):
        from_recipe(PretrainOptions, str(folder / f"{name}.yaml"), shards=(Path("a"),), output=Path("b"))
    from_recipe(FinetuneOptions, str(folder / "finetune.yaml"))


def _tables(folder: Path) -> None:
    read_predictions(folder / "predictions.csv")
    read_truth(folder / "truth.csv", read_predictions(folder / "predictions.csv"))
    read_thresholds(folder / "thresholds.json")


def _weights(folder: Path) -> None:
    for path in sorted(folder.glob("*.pth")):
        read_weights_given(path)


def _published(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        read_published(path)


def _model(folder: Path) -> None:
    model = load_model(folder)
    load_results(folder)
    read_temperatures(folder, str(model.description.value["digest"]))


TARGETS: dict[str, Target] = {
    "weights of torch": Target("torch", ("*.pth",), _weights, 3),
    "published checkpoints": Target("published", ("*.tar",), _published, 3),
    "safetensors with its record": Target(
        "safetensors", ("*",), lambda folder: read_weights_given(folder / "model.safetensors"), 2
    ),
    "checkpoints": Target("checkpoints", ("checkpoints/*",), _checkpoint, 2),
    "backbone of a run": Target(
        "run", ("backbone.json", "*.parquet"), lambda folder: load_backbone(str(folder), mean=0.0, std=1.0)
    ),
    "start of a run": Target(
        "run", ("backbone.json", "config.yaml"), lambda folder: load_backbone(str(folder), at="start")
    ),
    "export": Target("export", ("*.json", "*.parquet"), lambda folder: load_backbone(str(folder))),
    "model": Target("model", ("model.json", "*.parquet"), _model),
    "files of a run": Target(
        "run", ("*.yaml", "*.json", "*.jsonl", "patients.parquet", "images.parquet"), _run_files, 4
    ),
    "report of a run": Target("run", ("*.yaml", "*.json", "*.jsonl"), collect),
    "dataset": Target("dataset", ("dataset.json", "samples.parquet"), _dataset, 3),
    "dataset, digest recorded": Target("dataset", ("samples.parquet",), _dataset_as_recorded, 2),
    "info of a dataset": Target("dataset", ("dataset.json",), _info),
    "embeddings": Target("embeddings", ("**/*",), lambda folder: read_embeddings(folder / "features.zarr"), 2),
    "scores": Target("scores", ("**/*",), lambda folder: read_zarr_scores(folder / "scores.zarr"), 2),
    "study files": Target("study", ("*.yaml",), _study, 3),
    "recipes": Target("recipe", ("*.yaml",), _recipes, 3),
    "tables": Target("tables", ("predictions.csv*", "truth.csv", "thresholds.json"), _tables, 2),
    "report of results": Target("tables", ("result.json", "calibration.json"), collect),
}
NEVER_REFUSED = {name for name, target in TARGETS.items() if target.read is collect}
"""The report names what it cannot read."""
_TURNS = [name for name, target in TARGETS.items() for _ in range(target.share)]


class _Hangs(BaseException):
    pass


def _ring(_number: int, _frame: object) -> None:
    raise _Hangs(f"it takes more than {HANGS_S} s")


def outcome(name: str, folder: Path, number: int) -> str:
    """Damage the files of a target by a number and read them: "read" or "a sentence"; anything else is raised."""
    target, random = TARGETS[name], np.random.default_rng(number)
    files = sorted({path for pattern in target.files for path in folder.glob(pattern) if path.is_file()})
    damage(files[int(random.integers(len(files)))], random)
    began = time.process_time()
    try:
        target.read(folder)
        said = "read"
    except (CxrError, click.ClickException) as error:
        said = _sentence(getattr(error, "message", None) or str(error))
    except OSError as error:
        said = _sentence(said_plainly(error) or "")  # as the command line makes of it
    took = time.process_time() - began
    assert took < PATIENCE_S, f"{took:.0f} s of the processor"
    return said


def _sentence(message: str) -> str:
    assert message, "an error without a sentence"
    own_advice = "on a machine without anything of value" in message  # of `cxr-train import`, for a new file
    assert "weights_only" not in message or own_advice, message
    return "a sentence"


def fuzz(examples: int, first: int = 0, folder: Path | None = None) -> dict[str, Any]:
    """Run so many examples. counts: outcomes by target. failed: by number. megabytes: the most that was in memory."""
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in TARGETS}
    failed: dict[int, str] = {}
    slowest, began = 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        inputs = folder or Path(scratch) / "inputs"
        if not inputs.exists():
            make_inputs(inputs)
        for number in range(first, first + examples):
            name = _TURNS[number % len(_TURNS)]
            place = Path(scratch) / "example"
            _copied(inputs / TARGETS[name].folder, place, TARGETS[name].files)
            start = time.monotonic()
            try:
                with _quietly():
                    counts[name][outcome(name, place, number)] += 1
            except (Exception, _Hangs) as error:  # noqa: BLE001 - what is counted
                counts[name]["failed"] += 1
                failed[number] = f"{name}: {''.join(traceback.format_exception(error)[-3:])}"
            slowest = max(slowest, time.monotonic() - start)
            shutil.rmtree(place, ignore_errors=True)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "examples": examples,
        "first": first,
        "counts": {name: dict(found) for name, found in counts.items()},
        "failed": failed,
        "megabytes": round(megabytes),
        "slowest_s": round(slowest, 2),
        "seconds": round(time.monotonic() - began),
    }


def _copied(folder: Path, to: Path, files: tuple[str, ...]) -> None:
    """Copy a folder; files that are not damaged are the same ones, since some are large."""
    damaged = {path for pattern in files for path in folder.glob(pattern)}

    def copy(source: str, target: str) -> str:
        if Path(source) in damaged:
            shutil.copy2(source, target)
        else:
            os.link(source, target)
        return target

    shutil.copytree(folder, to, copy_function=copy)


@contextlib.contextmanager
def _quietly() -> Any:  # noqa: ANN401 - a context
    """No logs and warnings, and an alarm for what hangs."""
    before = signal.signal(signal.SIGALRM, _ring)
    signal.alarm(HANGS_S)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        logging.disable(logging.NOTSET)


@click.command()
@click.option("--examples", default=20_000, show_default=True, help="Number of damaged files.")
@click.option("--first", default=0, help="Number of the first one.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="JSON file to write the counts to.")
def main(examples: int, first: int, output: Path | None) -> None:
    """Damage files, read them, and print how that ended; the exit status is 1 where something failed."""
    torch.set_num_threads(1)
    found = fuzz(examples, first)
    for name, counts in found["counts"].items():
        click.echo(
            f"{name:32} {counts.get('read', 0):>7} {counts.get('a sentence', 0):>7} {counts.get('failed', 0):>7}"
        )
    click.echo(f"{examples} examples from {first} on in {found['seconds']} s, at most {found['megabytes']} MB")
    for number, text in list(found["failed"].items())[:20]:
        click.echo(f"--- {number}: {text}")
    if output is not None:
        output.write_text(json.dumps(found, indent=2))
    if found["failed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
