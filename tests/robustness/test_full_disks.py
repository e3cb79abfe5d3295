"""A disk that is really full, under every command that writes: a sentence, and no half of a file under its name."""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors
import yaml
import zarr
from click.testing import Result
from PIL import Image

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from tests.ingest.archives.layouts import write_shenzhen
from tests.robustness.commands import CPU, PRETRAINING, refused, run_eval, run_ingest, run_train
from tests.training.labelled_shards import BACKBONE, LABELS, TUNED
from tests.training.published_checkpoints import published, write
from tests.training.studies.small_study import sweep
from training.cli.main import main as cxr_train

FILLER = "other people's files"
SIZE, LARGER = "2m", "900m"
FREE = (0, 3 * 4096)
"""Bytes that are left: none, so that the first write fails, and some, so that a later one does; then space is made."""


@dataclass(frozen=True)
class Inputs:
    """What commands read, on a disk with room."""

    shards: Path
    probed: Path
    tuned: Path
    swept: Path
    folder: Path


@pytest.fixture(scope="module")
def inputs(
    labelled_root: Path, probed: Path, tuned: Path, swept: Path, tmp_path_factory: pytest.TempPathFactory
) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    write_shenzhen(folder / "raw", 12)
    write(folder / "published.pth", published(optimizer="sgd")[0])
    words = ("--shards", labelled_root, *CPU, "--allow-seen-patients")
    for name, split in (("predictions.csv", "test"), ("valid.csv", "valid"), ("other.csv", "test")):
        result = run_eval("predict", "--model", probed, "--output", folder / name, "--split", split, *words)
        assert result.exit_code == 0, result.output
    table = (folder / "other.csv").read_text().splitlines()
    (folder / "other.csv").write_text("\n".join([table[0], *(f"{line}1" for line in table[1:])]) + "\n")
    (folder / "other.csv.json").unlink()
    return Inputs(labelled_root, probed, tuned, swept, folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, free: int) -> None:
    room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - free
    with (disk / FILLER).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room)


def make_space(disk: Path) -> None:
    (disk / FILLER).unlink()
    subprocess.run(["mount", "-o", f"remount,size={LARGER}", str(disk)], check=True)


COMMANDS: dict[str, Callable[[Inputs, Path], Result]] = {
    "build-shards": lambda i, disk: run_ingest(
        *("build-shards", i.folder / "raw", disk / "out", "--dataset", "shenzhen", "--name", "few"),
        *("--short-side", 64, "--workers", 1),
    ),
    "make-phantom": lambda i, disk: run_ingest(
        "make-phantom", disk / "out", "--chexpert-patients", 0, "--shenzhen-images", 2
    ),
    "preview": lambda i, disk: run_ingest("preview", i.shards, disk / "sheet.png"),
    "pretrain": lambda i, disk: run_train(
        "pretrain", "--shards", i.shards, "--output", disk / "run", *PRETRAINING, "--epochs", 1, *CPU
    ),
    "probe": lambda i, disk: run_train(
        *("probe", "--shards", i.shards, "--output", disk / "model", *BACKBONE, "--labels", LABELS[0]),
        *("--cache", disk.parent / "cache"),
    ),
    "probe, its cache": lambda i, disk: run_train(
        *("probe", "--shards", i.shards, "--output", disk.parent / "model", *BACKBONE, "--labels", LABELS[0]),
        *("--cache", disk / "cache"),
    ),
    "finetune": lambda i, disk: run_train(
        "finetune", "--shards", i.shards, "--output", disk / "model", *BACKBONE, *TUNED
    ),
    "sweep": lambda i, disk: sweep(i.swept.parent / "study.yaml", disk / "study", "--only", "runs/*"),
    "export": lambda i, disk: run_train(
        "export", i.swept / "runs" / "tiny-seed0", disk / "out", "--format", "torchvision"
    ),
    "export --format hub": lambda i, disk: run_train(
        "export", i.swept / "runs" / "tiny-seed0", disk / "out", "--format", "hub"
    ),
    "import": lambda i, disk: run_train("import", i.folder / "published.pth", disk / "out", "--seen-patients", "none"),
    "bench-loader": lambda i, disk: run_train(
        *("bench-loader", "--shards", i.shards, "--image-size", 32, "--batch-size", 4, "--seconds", 0.05),
        *("--rounds", 1, *CPU, "--json", disk / "speed.json"),
    ),
    "embed": lambda i, disk: run_eval("embed", "--shards", i.shards, *BACKBONE, "--output", disk / "features.zarr"),
    "predict": lambda i, disk: run_eval(
        "predict", "--shards", i.shards, "--model", i.probed, *CPU, "--output", disk / "predictions.csv"
    ),
    "predict, Parquet": lambda i, disk: run_eval(
        "predict", "--shards", i.shards, "--model", i.probed, *CPU, "--output", disk / "predictions.parquet"
    ),
    "thresholds": lambda i, disk: run_eval(
        *("thresholds", "--labels", i.shards, "--arm", f"a={i.folder / 'valid.csv'}"),
        *("--output", disk / "thresholds.json"),
    ),
    "calibration": lambda i, disk: run_eval(
        *("calibration", "--labels", i.shards, "--arm", f"a={i.folder / 'predictions.csv'}"),
        *("--output", disk / "calibration.json"),
    ),
    "bootstrap": lambda i, disk: run_eval(
        *("bootstrap", "--labels", i.shards, "--arm", f"a={i.folder / 'predictions.csv'}"),
        *("--arm", f"b={i.folder / 'other.csv'}", "--reference", "a", "--replicates", 400),
        *("--output", disk / "result.json"),
    ),
    "report": lambda i, disk: run_eval("report", i.swept, "--output", disk / "report.html"),
    "compare-runs": lambda i, disk: run_eval(
        "compare-runs", i.swept / "runs" / "tiny-seed0", "--output", disk / "curves.png"
    ),
    "study": lambda i, disk: run_eval("study", _as_links(i.swept, disk / "study"), "--data", i.swept.parent, *CPU),
}


def _as_links(study: Path, to: Path) -> Path:
    """A study's folder whose large files are links to the original ones."""
    if not to.exists():
        for parent, _, files in os.walk(study):
            folder = to / os.path.relpath(parent, study)
            folder.mkdir(parents=True, exist_ok=True)
            for name in files:
                (folder / name).symlink_to(Path(parent) / name)
    return to


def whole(path: Path) -> bool:
    """Whether a file is one that can be read to its end."""
    content = path.read_bytes()
    if path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".jsonl":
        assert not content or content.endswith(b"\n")
        [json.loads(line) for line in content.splitlines()]
    elif path.suffix == ".yaml":
        assert isinstance(yaml.safe_load(content), dict)
    elif path.suffix == ".pt":
        assert zipfile.ZipFile(path).testzip() is None
    elif path.suffix == ".parquet":
        pq.read_table(path)
    elif path.suffix == ".safetensors":
        with safetensors.safe_open(path, "numpy") as file:
            assert file.keys()
    elif path.suffix in (".png", ".jpg"):
        np.asarray(Image.open(path))
    elif path.suffix == ".html":
        assert content.rstrip().endswith(b"</html>")
    elif path.suffix == ".svg":
        assert content.rstrip().endswith(b"</svg>")
    else:
        assert path.suffix in (".csv", ".tex", ".md", ".idx", ".tar", ".pdf", ".txt"), path
        assert content.endswith((b"\n", b"\0")) or (content and path.suffix == ".txt"), path
    return True


def written(disk: Path) -> list[Path]:
    return [
        path
        for path in disk.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name not in (FILLER, ".lock", ".cxr-model")
        if "tfevents" not in path.name and not (path.name.startswith(".") and path.name.endswith(".lock"))
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # tensorboard's writing thread
@pytest.mark.parametrize("free", FREE)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_said_nothing_is_half_written_and_the_same_command_ends_once_there_is_room(
    command: str, free: int, inputs: Inputs, disk: Path
) -> None:
    if command == "study":
        _as_links(inputs.swept, disk / "study")
    fill(disk, free)
    result = COMMANDS[command](inputs, disk)
    if free == 0 or result.exit_code:
        # A sweep looks for room before it begins.
        said = ("are needed", "are free") if command == "sweep" else ("No space left on device", "again")
        refused(result, *said, str(disk))
    assert all(whole(path) for path in written(disk))
    left = [path for path in disk.rglob("*") if path.name.endswith(".tmp")]
    assert not left, left
    if free == 0:
        return
    make_space(disk)
    again = COMMANDS[command](inputs, disk)
    assert again.exit_code == 0, again.output
    assert written(disk)
    assert all(whole(path) for path in written(disk) if "zarr" not in str(path))
    for group in disk.rglob("*.zarr"):
        zarr.open_group(group, mode="r")
    shutil.rmtree(disk.parent / "model", ignore_errors=True)


READS_ONLY = {"verify", "info", "recipes", "cache"}
"""Commands that write nothing but, on request, small JSON whose errors have sentences of their own (quarantine)."""
ELSEWHERE = {"finalize", "fetch-weights"}
"""Tested with builds (tests/ingest/build/test_faults.py), and writing only what the network gives."""


def test_every_command_is_in_the_table() -> None:
    every = {name for program in (cxr_ingest, cxr_train, cxr_eval) for name in program.commands}
    tested = {command.partition(",")[0].partition(" ")[0] for command in COMMANDS}
    assert every == tested | READS_ONLY | ELSEWHERE
