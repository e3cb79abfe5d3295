"""slurm/submit-study.sh on a real Slurm: phantoms in, a report out, with preemptions, a second submission, a repair."""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from shards.format.dataset import open_dataset
from shards.format.subsets import select
from tests.slurm.cluster import PATIENCE_S, Cluster
from tests.slurm.site import BATCH, BUILD, ENDED, EPOCHS, ROOT, jobs_of, logs, submit_study, write_files

pytestmark = pytest.mark.slurm
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Submitted:
    """A study that has run to its end on Slurm. again: what a second submission said while the first was running."""

    folder: Path
    source: Path
    output: Path
    study: Path
    site: Path
    jobs: dict[str, str]
    again: str
    preempted: str


def wait_for(path: Path, lines: int, output: Path) -> None:
    """Wait until a file has so many lines."""
    deadline = time.monotonic() + PATIENCE_S
    while not (path.is_file() and path.read_text().count("\n") >= lines):
        assert time.monotonic() < deadline, logs(output)
        time.sleep(0.1)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw data") / "phantom"
    words = ("make-phantom", folder, "--chexpert-patients", 30, "--shenzhen-images", 0)
    subprocess.run([BIN / "cxr-ingest", *map(str, words)], check=True, capture_output=True, timeout=PATIENCE_S)
    return folder / "CheXpert-v1.0-small"


@pytest.fixture(scope="module")
def submitted(cluster: Cluster, phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    folder = tmp_path_factory.mktemp("study of phantoms")  # with spaces, as on some people's disks
    study, site = write_files(folder, phantom)
    output = folder / "the study"
    jobs = jobs_of(submit_study(cluster, study, site, output))
    again = submit_study(cluster, study, site, output)
    wait_for(output / "runs" / "tiny-seed0" / "metrics.jsonl", 1, output)
    cluster.run("scancel", "--batch", "--signal=USR1", f"{jobs['pretrain']}_0")
    tuning = output / "cells" / "tiny-start-seed0-finetune-default-effusion-1.0-draw0" / "metrics.jsonl"
    wait_for(tuning, 1, output)
    task = next(fields for fields in cluster.jobs(jobs["sweep"]) if fields.get("ArrayTaskId") == "1")
    cluster.run("scancel", "--batch", "--signal=USR1", task["JobId"])
    cluster.wait(jobs["study"], PATIENCE_S, lambda states: states <= ENDED)
    states = {stage: cluster.states(job) for stage, job in jobs.items()}
    assert set().union(*states.values()) == {"COMPLETED"}, logs(output)
    return Submitted(folder, phantom, output, study, site, jobs, again, task["JobId"])


def test_all_stages_run_in_order_as_arrays_and_single_jobs(cluster: Cluster, submitted: Submitted) -> None:
    counts = {stage: len(cluster.jobs(job)) for stage, job in submitted.jobs.items()}
    assert counts == {"build-chexpert": 2, "finalize-chexpert": 1, "pretrain": 1, "sweep": 3, "study": 1}
    granted = [fields.get("TresPerNode") for job in submitted.jobs.values() for fields in cluster.jobs(job)]
    assert granted.count("gres:gpu:1") == 5  # all but the build's tasks and finalize


def test_a_second_submission_while_the_first_runs_submits_nothing(submitted: Submitted) -> None:
    named = [line for line in submitted.again.splitlines() if re.match(r"\S+: job \d+", line)]
    assert all(line.endswith(" is in the queue") for line in named), submitted.again
    found = jobs_of(submitted.again)
    assert found.items() <= submitted.jobs.items()
    assert found.keys() >= {"pretrain", "sweep", "study"}  # a quick build may have ended before


def test_shards_built_by_an_array_equal_those_of_one_process(submitted: Submitted, tmp_path: Path) -> None:
    alone, by_array = tmp_path / "alone", submitted.folder / "shards of phantoms"
    words = ("build-shards", submitted.source, alone, "--dataset", "chexpert", *BUILD)
    subprocess.run([BIN / "cxr-ingest", *map(str, words)], check=True, capture_output=True, timeout=PATIENCE_S)
    names = sorted(path.name for path in alone.iterdir() if path.is_file())
    assert len([name for name in names if name.endswith(".tar")]) > 2  # or a task of the array had nothing to do
    for name in names:
        assert (by_array / name).read_bytes() == (alone / name).read_bytes(), name


def test_usr1_requeues_a_pretraining_that_goes_on_where_it_stopped(cluster: Cluster, submitted: Submitted) -> None:
    (fields,) = cluster.jobs(submitted.jobs["pretrain"])
    assert fields["Restarts"] == "1"
    run = submitted.output / "runs" / "tiny-seed0"
    total = EPOCHS * (len(select(open_dataset(submitted.folder / "shards of phantoms"), "train")) // BATCH)
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, total + 1))  # none lost, none twice
    last = json.loads((run / "last.json").read_text())
    assert (last["finished"], last["step"]) == (True, total)


def test_usr1_requeues_a_fine_tuning(submitted: Submitted) -> None:
    said = logs(submitted.output)
    assert said.count("preempted: back into the queue") == 2
    assert re.search(r"cells/\S+finetune\S+: resumes after step \d+ of", said), said
    assert len(list(submitted.output.glob("cells/*/done.json"))) == 4


def test_the_study_ends_in_gains_and_a_report(submitted: Submitted) -> None:
    rows = list(csv.DictReader((submitted.output / "tables" / "gains.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["probe", "finetune"]
    assert all(row["value"] for row in rows)
    assert "Pleural Effusion" in (submitted.output / "report.html").read_text(encoding="utf-8")


def test_status_says_what_is_done(cluster: Cluster, submitted: Submitted) -> None:
    said = submit_study(cluster, submitted.study, submitted.site, submitted.output, "--status")
    assert "pretraining runs: 1 of 1 are done; cells: 4 of 4 are done" in said


def test_a_cell_that_failed_is_named_and_repaired_by_submitting_again(cluster: Cluster, submitted: Submitted) -> None:
    output = submitted.folder / "repaired"
    shutil.copytree(submitted.output, output)
    name = "tiny-moco-seed0-probe-default-effusion-1.0-draw0"
    digest = json.loads((output / "cells" / name / "model.json").read_text())["digest"]
    shutil.rmtree(output / "cells" / name)
    (output / "cells" / name).write_text("in the way")
    first = jobs_of(submit_study(cluster, submitted.study, submitted.site, output))
    assert sorted(first) == ["study", "sweep"]
    cluster.wait(first["study"], PATIENCE_S, lambda states: states <= ENDED)
    assert "FAILED" in cluster.states(first["sweep"])
    assert cluster.states(first["study"]) == {"COMPLETED"}, logs(output)
    assert f"missing: cells/{name}" in logs(output)
    (output / "cells" / name).unlink()
    second = jobs_of(submit_study(cluster, submitted.study, submitted.site, output))
    cluster.wait(second["study"], PATIENCE_S, lambda states: states <= ENDED)
    assert cluster.states(second["sweep"]) == {"COMPLETED"}, logs(output)
    assert json.loads((output / "cells" / name / "model.json").read_text())["digest"] == digest
    gains = [(folder / "tables" / "gains.csv").read_bytes() for folder in (submitted.output, output)]
    assert gains[0] == gains[1]


def test_stages_behind_a_failed_one_are_cancelled(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    study, site = write_files(tmp_path, tmp_path / "empty")
    jobs = jobs_of(submit_study(cluster, study, site, tmp_path / "out"))
    assert cluster.wait(jobs["study"], PATIENCE_S, lambda states: states <= ENDED) == {"CANCELLED"}
    assert cluster.states(jobs["build-chexpert"]) == {"FAILED"}
    assert all(cluster.states(jobs[stage]) == {"CANCELLED"} for stage in ("finalize-chexpert", "pretrain", "sweep"))


def test_a_dry_run_prints_the_commands_whole_and_submits_nothing(cluster: Cluster, tmp_path: Path) -> None:
    study, site = write_files(tmp_path, tmp_path / "a source")
    said = submit_study(cluster, study, site, tmp_path / "out", "--dry-run")
    lines = said.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["sbatch"] * 5
    assert r"--comment=all\ of\ \*\ and\ \"this\"" in lines[0]
    assert r"a\ source " in lines[0]
    assert r"--only runs/\*" in lines[2]
    assert not (tmp_path / "out").exists()
    assert not jobs_of(said)


def test_what_cannot_be_submitted_is_refused_in_words(tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        command = [str(ROOT / "slurm" / "submit-study.sh"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode != 0
        return done.stderr

    assert "slurm/submit-study.sh STUDY.yaml --output DIR" in refused()
    assert "there is no such site file" in refused("s.yaml", "--output", tmp_path, "--site", tmp_path / "none")
    study, site = write_files(tmp_path, tmp_path)
    study.write_text("nonsense: 1\n")
    assert "nonsense: there is no such key" in refused(study, "--output", tmp_path / "out", "--site", site)
