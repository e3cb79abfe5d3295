"""slurm/submit-all.sh and its batch scripts on a real Slurm: phantoms in, a report out, one preemption on the way."""

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from shards.format.dataset import Dataset, open_dataset
from shards.format.subsets import select
from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SHARD_OPTIONS = "--name chexpert --short-side 64 --samples-per-shard 16 --valid-fraction 0.2 --test-fraction 0.3"
EPOCHS, BATCH = 4, 4
STUDY_OF_A_MINUTE = {
    "VENV": sys.prefix,
    "BUILD_TASKS": "2",
    "DOWNSTREAM_TASKS": "3",
    "BUILD_OPTIONS": SHARD_OPTIONS,
    "INIT": "random",
    "IMAGE_SIZE": "64",
    "PRETRAIN_OPTIONS": f"--epochs {EPOCHS} --batch-size {BATCH} --queue-size 12 --log-every 1 --threads 1",
    "FINETUNE_OPTIONS": "--epochs 1 --min-steps 2 --batch-size 4 --threads 1",
    "PROBE_OPTIONS": "--threads 1",
    "LABELS": "Pleural Effusion",
    "FRACTIONS": "0.5",
    "DRAWS": "0",
    "REPLICATES": "400",
}
# Slurm counts processors that are not there; two of these run at once on the two cores of a small machine.
FLAGS = ("--cpus-per-task=1", "--mem=2G", "--time=10")
PATIENCE_S = 600


@dataclass(frozen=True)
class Chain:
    """A chain that has run to its end: its folders, and the job id of each stage."""

    source: Path
    study: Path
    jobs: dict[str, str]


def submit(cluster: Cluster, study: Path, source: Path, *flags: str, **parameters: str) -> dict[str, str]:
    """Submit the chain as a user would, from the repository's root; job ids by stage."""
    environment = {**cluster.environment, **STUDY_OF_A_MINUTE, "STUDY": str(study), "SOURCE": str(source), **parameters}
    command = ["bash", "slurm/submit-all.sh", *FLAGS, *flags]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^(\w+): job (\d+)$", done.stdout, re.MULTILINE))


def shards(chain: Chain) -> Dataset:
    return open_dataset(chain.study / "shards" / "chexpert")


def logs(study: Path) -> str:
    return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted((study / "logs").iterdir()))


def wait_for_first_step(cluster: Cluster, job: str, metrics: Path, study: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not (metrics.exists() and metrics.read_text().count("\n")):
        assert time.monotonic() < deadline, logs(study)
        assert cluster.states(job) <= {"PENDING", "RUNNING"}, logs(study)
        time.sleep(0.1)


@pytest.fixture(scope="module")
def chain(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("study of phantoms")  # with spaces, as on some people's disks
    phantom, study = folder / "phantom", folder / "study"
    make = [
        str(BIN / "cxr-ingest"),
        "make-phantom",
        str(phantom),
        "--chexpert-patients",
        "30",
        "--shenzhen-images",
        "0",
    ]
    subprocess.run(make, check=True, capture_output=True, timeout=120)
    source = phantom / "CheXpert-v1.0-small"
    jobs = submit(cluster, study, source)
    wait_for_first_step(cluster, jobs["pretrain"], study / "pretrain" / "metrics.jsonl", study)
    cluster.run("scancel", "--batch", "--signal=USR1", jobs["pretrain"])
    finished = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
    cluster.wait(jobs["statistics"], PATIENCE_S, lambda states: states <= finished)
    states = {stage: cluster.states(job) for stage, job in jobs.items()}
    assert set().union(*states.values()) == {"COMPLETED"}, logs(study)
    return Chain(source, study, jobs)


def test_all_stages_run_in_order_as_arrays_and_single_jobs(cluster: Cluster, chain: Chain) -> None:
    assert list(chain.jobs) == ["build", "finalize", "pretrain", "downstream", "statistics"]
    assert {stage: len(cluster.jobs(job)) for stage, job in chain.jobs.items()} == {
        "build": 2,
        "finalize": 1,
        "pretrain": 1,
        "downstream": 3,
        "statistics": 1,
    }
    granted = [fields.get("TresPerNode") for job in chain.jobs.values() for fields in cluster.jobs(job)]
    assert granted.count("gres:gpu:1") == 5  # all but the build's tasks and finalize


def test_shards_built_by_an_array_equal_those_of_one_process(chain: Chain, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    build = [
        str(BIN / "cxr-ingest"),
        "build-shards",
        str(chain.source),
        str(alone),
        "--dataset",
        "chexpert",
        *SHARD_OPTIONS.split(),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    by_array = chain.study / "shards" / "chexpert"
    names = sorted(path.name for path in alone.iterdir() if path.is_file())
    assert len([name for name in names if name.endswith(".tar")]) > 2  # or a task of the array had nothing to do
    assert {"dataset.json", "samples.parquet", "rejected.csv"} < set(names)
    for name in names:
        assert (by_array / name).read_bytes() == (alone / name).read_bytes(), name


def test_usr1_requeues_a_pretraining_that_goes_on_where_it_stopped(cluster: Cluster, chain: Chain) -> None:
    (fields,) = cluster.jobs(chain.jobs["pretrain"])
    assert fields["Restarts"] == "1"
    (log,) = (chain.study / "logs").glob("cxr-pretrain-*.out")
    assert "exit code 75" in log.read_text()
    assert log.read_text().count("preempted: back into the queue") == 1
    total = EPOCHS * (len(select(shards(chain), "train")) // BATCH)
    steps = [json.loads(line)["step"] for line in (chain.study / "pretrain" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, total + 1))  # none lost, none twice
    last = json.loads((chain.study / "pretrain" / "last.json").read_text())
    assert (last["finished"], last["step"], last["epoch"]) == (True, total, EPOCHS)


def test_each_model_is_trained_once_whatever_the_number_of_tasks(chain: Chain) -> None:
    models = sorted((chain.study / "downstream" / "chexpert").iterdir())
    assert [model.name for model in models] == [
        "finetune-moco-0.5-draw0",
        "finetune-start-0.5-draw0",
        "probe-moco-0.5-draw0",
        "probe-start-0.5-draw0",
    ]
    for model in models:
        method, arm, *_ = model.name.split("-")
        described = json.loads((model / "model.json").read_text())
        assert described["method"] == method
        assert described["initial"] == {"moco": "moco", "start": "random"}[arm]
        assert described["architecture"] == "resnet18"
        assert described["image_size"] == 64
    outputs = "".join(path.read_text() for path in (chain.study / "logs").glob("cxr-downstream-*.out"))
    assert "already" not in outputs


@pytest.mark.parametrize("method", ["probe", "finetune"])
def test_statistics_give_a_gain_with_its_interval(chain: Chain, method: str) -> None:
    result = json.loads((chain.study / "results" / f"chexpert-{method}-0.5.json").read_text())
    label = result["labels"]["Pleural Effusion"]
    truth = select(shards(chain), "test")["Pleural Effusion"]
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    assert min(positives, negatives) > 0, "choose a phantom with both classes in the test split"
    assert (label["n"], label["positives"], result["replicates"]) == (positives + negatives, positives, 400)
    difference = label["differences"]["model"]
    if min(positives, negatives) < 2:
        assert difference["value"] is None
        return
    assert difference["value"] == pytest.approx(label["arms"]["model"]["value"] - label["arms"]["baseline"]["value"])
    if difference["ci"] is None:  # too few patients, or all of a class are of one, or both arms order the rows alike
        assert result["warnings"]
    else:
        low, high = difference["ci"]
        assert -1 <= low <= difference["value"] <= high <= 1


def test_the_report_is_one_page_that_names_the_label(chain: Chain) -> None:
    page = (chain.study / "report.html").read_text(encoding="utf-8")
    assert "Pleural Effusion" in page
    assert "</html>" in page


def test_stages_behind_a_failed_one_are_cancelled(cluster: Cluster, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    jobs = submit(cluster, tmp_path / "study", empty, "--gres=none")
    states = cluster.wait(jobs["statistics"], 60, lambda states: "PENDING" not in states)
    assert states == {"CANCELLED"}
    assert cluster.states(jobs["build"]) == {"FAILED"}
    assert all(cluster.states(jobs[stage]) == {"CANCELLED"} for stage in ("finalize", "pretrain", "downstream"))
    (pretrain,) = cluster.jobs(jobs["pretrain"])
    assert "gpu" not in pretrain.get("TresPerNode", "")


def test_an_unknown_stage_or_a_missing_folder_is_refused_before_anything_is_submitted(tmp_path: Path) -> None:
    command = ["bash", str(ROOT / "slurm" / "submit-all.sh")]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode != 0
    assert "STUDY: folder of the study" in done.stderr
    environment = {"PATH": "/usr/bin:/bin", "STUDY": str(tmp_path), "STAGES": "pretian"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pretian" in done.stderr
