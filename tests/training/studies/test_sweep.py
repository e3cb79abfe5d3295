"""A sweep trains a study's runs and cells, once each, whatever stops it, fails or shares its folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.training.labelled_shards import make_model
from tests.training.studies.small_study import changed, sweep, write_study

CELLS = [
    f"tiny-{arm}-seed0-{method}-plain-edema-{draw}"
    for arm in ("start", "moco")
    for method in ("probe", "finetune")
    for draw in ("0.5-draw0", "0.5-draw1", "1.0-draw0")
]


def sweep_process(study: Path, output: Path, *words: object) -> "subprocess.Popen[str]":
    """The same in a process of its own."""
    options = ("--output", output, "--data", study.parent, "--device", "cpu", "--threads", 1, *words)
    program = "from training.cli.main import main; main()"
    command = [sys.executable, "-c", program, "sweep", str(study), *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def models(output: Path) -> dict[str, str]:
    """The digest of each cell's weights."""
    return {
        path.parent.name: json.loads(path.read_text())["digest"] for path in sorted(output.glob("cells/*/model.json"))
    }


def copy_of(swept: Path, output: Path) -> Path:
    shutil.copytree(swept, output)
    return output


def test_a_sweep_trains_the_runs_and_all_cells(swept: Path) -> None:
    assert sorted(models(swept)) == sorted(CELLS)
    assert (swept / "runs/tiny-seed0/backbone.safetensors").is_file()
    assert (swept / "study.yaml").is_file()
    assert all((swept / "cells" / name / "done.json").is_file() for name in CELLS)


def test_each_weights_and_split_is_embedded_once(swept: Path) -> None:
    entries = sorted(path.name.rpartition("-")[0] for path in (swept / "embeddings").glob("*.zarr"))
    assert entries == sorted(f"labelled-{split}" for split in ("train", "valid", "test") for _arm in range(2))


def test_a_cell_is_the_model_that_its_own_command_makes(swept: Path, small_study: Path, tmp_path: Path) -> None:
    words: tuple[object, ...] = (
        "--backbone-from",
        swept / "runs/tiny-seed0",
        "--at",
        "start",
        "--labels",
        "Edema",
        "--device",
        "cpu",
    )
    words += ("--label-fraction", 0.5, "--draw", 1, "--seed", 1, "--threads", 1)
    probe = make_model("probe", small_study / "labelled", tmp_path / "p", *words, "--cache", tmp_path / "c")
    tuning = ("--epochs", 2, "--min-steps", 3, "--batch-size", 8, "--lr", 1e-3)
    tuned = make_model("finetune", small_study / "labelled", tmp_path / "f", *words, *tuning)
    for method, folder in (("probe", probe), ("finetune", tuned)):
        digest = json.loads((folder / "model.json").read_text())["digest"]
        assert models(swept)[f"tiny-start-seed0-{method}-plain-edema-0.5-draw1"] == digest


def test_running_again_does_nothing_and_says_so(swept: Path, small_study: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*.json")}
    result = sweep(small_study / "study.yaml", swept)
    assert result.exit_code == 0, result.output
    assert "12 of 12 cells are done." in result.output
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*.json")} == before


def test_running_again_trains_what_is_missing_to_the_same_weights(
    swept: Path, small_study: Path, tmp_path: Path
) -> None:
    output = copy_of(swept, tmp_path / "out")
    shutil.rmtree(output / "cells" / CELLS[0])
    (output / "cells" / CELLS[4] / "done.json").unlink()
    (output / "cells" / CELLS[4] / "model.json").unlink()
    (output / "cells" / CELLS[5] / "done.json").unlink()  # killed between model.json and its record
    result = sweep(small_study / "study.yaml", output)
    assert result.exit_code == 0, result.output
    assert models(output) == models(swept)


def test_a_failed_cell_is_named_stops_no_other_and_is_tried_again(
    swept: Path, small_study: Path, tmp_path: Path
) -> None:
    output = copy_of(swept, tmp_path / "out")
    for name in CELLS[:3]:
        shutil.rmtree(output / "cells" / name)
    (output / "cells" / CELLS[1]).write_text("in the way")
    result = sweep(small_study / "study.yaml", output)
    assert result.exit_code == 1
    assert "11 of 12 cells are done, 1 failed." in result.output
    assert f"cells/{CELLS[1]}: " in result.output
    (output / "cells" / CELLS[1]).unlink()
    assert sweep(small_study / "study.yaml", output).exit_code == 0
    assert models(output) == models(swept)


def study_with(folder: Path, tmp_path: Path, content: Mapping[str, Any]) -> Path:
    (tmp_path / "labelled").symlink_to((folder / "labelled").resolve())
    return write_study(tmp_path / "study.yaml", dict(content))


def test_a_changed_study_file_says_which_cells_it_touches(swept: Path, small_study: Path, tmp_path: Path) -> None:
    output = copy_of(swept, tmp_path / "out")
    study = study_with(small_study, tmp_path, changed("methods", "finetune", "lr", value=2e-3))
    refused = sweep(study, output)
    assert refused.exit_code == 1
    assert "6 cells of" in refused.output
    assert f"cells/{CELLS[3]}: lr was 0.001, is 0.002" in refused.output
    assert "-probe-" not in refused.output
    redone = sweep(study, output, "--redo-changed")
    assert redone.exit_code == 0, redone.output
    found = models(output)
    assert {name for name in found if found[name] != models(swept)[name]} == {n for n in CELLS if "finetune" in n}


def test_a_changed_pretraining_that_is_finished_is_refused_and_each_way_out_works(
    swept: Path, small_study: Path, tmp_path: Path
) -> None:
    output = copy_of(swept, tmp_path / "out")
    content = changed("pretraining", "tiny", "lr", value=0.05)
    study = study_with(small_study, tmp_path, content)
    for words in ((), ("--redo-changed",), ("--only", "runs/*")):
        refused = sweep(study, output, *words)
        assert refused.exit_code == 1
        assert "runs/tiny-seed0: lr was 0.03, is 0.05" in refused.output
    assert models(output) == models(swept)
    content["pretraining"] = {"named": content["pretraining"]["tiny"]}
    renamed = sweep(write_study(tmp_path / "renamed.yaml", content), output, "--only", "runs/*")
    assert renamed.exit_code == 0, renamed.output
    (output / "runs" / "tiny-seed0").rename(tmp_path / "away")
    (output / "runs" / "named-seed0").rename(output / "runs" / "tiny-seed0")  # the same options, trained once
    touched = sweep(study, output)
    assert touched.exit_code == 1
    assert f"cells/{CELLS[0]}: its pretraining has other options" in touched.output
    assert "12 cells were made with other options" in sweep(study, output, "--dry-run").output
    redone = sweep(study, output, "--redo-changed")
    assert redone.exit_code == 0, redone.output
    assert not [name for name in CELLS if "moco" in name and models(output)[name] == models(swept)[name]]


def test_a_cell_of_a_failed_pretraining_is_named_and_cells_of_others_are_trained(
    small_study: Path, tmp_path: Path
) -> None:
    content = changed("methods", value={"probe": {}})
    content["pretraining"]["other"] = dict(content["pretraining"]["tiny"])
    study = study_with(small_study, tmp_path, content)
    (tmp_path / "out" / "runs").mkdir(parents=True)
    (tmp_path / "out" / "runs" / "other-seed0").write_text("in the way")
    result = sweep(study, tmp_path / "out")
    assert result.exit_code == 1
    assert "6 of 12 cells are done, 7 failed." in result.output
    assert "runs/other-seed0: " in result.output
    assert "cells/other-moco-seed0-probe-plain-edema-1.0-draw0: runs/other-seed0 is not finished" in result.output


def test_workers_make_the_same_cells(swept: Path, small_study: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(swept / "runs", output / "runs")
    with sweep_process(small_study / "study.yaml", output, "--workers", 2) as process:
        said, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "12 of 12 cells are done." in said
    assert models(output) == models(swept)


def test_tasks_that_begin_together_share_the_work_and_embed_once(
    swept: Path, small_study: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    tasks = [
        sweep_process(small_study / "study.yaml", output, "--task-index", index, "--task-count", 3, "--only", "*probe*")
        for index in range(3)
    ]
    for task in tasks:
        _, error = task.communicate(timeout=300)
        assert task.returncode == 0, error
    expected = {name: digest for name, digest in models(swept).items() if "probe" in name}
    assert models(output) == expected
    assert len(list((output / "embeddings").glob("*.zarr"))) == 6
    assert not list((output / "embeddings").glob(".*.tmp"))


@pytest.mark.parametrize("words", [("--task-index", 3, "--task-count", 3), ("--task-index", 0), ("--task-count", 2)])
def test_a_task_outside_of_the_array_is_a_usage_error(
    small_study: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    result = sweep(small_study / "study.yaml", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert "--task-" in result.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_that_is_stopped_goes_on_to_the_same_cells(
    swept: Path, small_study: Path, tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    output = tmp_path / "out"
    shutil.copytree(swept / "runs", output / "runs")
    process = sweep_process(small_study / "study.yaml", output, "--workers", workers)
    deadline = time.monotonic() + 120
    while not list(output.glob("cells/*/done.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 75), error
    assert len(list(output.glob("cells/*/done.json"))) < len(CELLS)
    deadline = time.monotonic() + 120
    while sweep(small_study / "study.yaml", output).exit_code or len(models(output)) < len(CELLS):
        assert time.monotonic() < deadline  # workers of a killed sweep finish the cell that they have
    assert models(output) == models(swept)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_stopped_in_a_fine_tuning_resumes_it_to_the_same_cells(
    workers: int, swept: Path, small_study: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(swept, output)
    for name in CELLS[3:6]:
        shutil.rmtree(output / "cells" / name)
    options = ("--checkpoint-minutes", 1e-9, "--workers", workers)
    process = sweep_process(small_study / "study.yaml", output, *options)
    deadline = time.monotonic() + 120
    while not (stopped := sorted(output.glob("cells/*finetune*/checkpoints/step-*.pt"))):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 75, error
    assert list(stopped[0].parent.glob("step-*.pt"))
    assert not (stopped[0].parents[1] / "model.json").exists()
    result = sweep(small_study / "study.yaml", output)
    assert result.exit_code == 0, result.output
    assert "resumes after step" in result.output
    assert models(output) == models(swept)
    assert not list(output.glob("cells/*/checkpoints"))


def test_a_worker_at_its_time_limit_stops_the_sweep_and_fails_no_cell(
    swept: Path, small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    shutil.copytree(swept, output)
    shutil.rmtree(output / "cells" / CELLS[3])
    shutil.rmtree(output / "cells" / CELLS[4])
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 30))  # less than a checkpoint may take
    with sweep_process(small_study / "study.yaml", output, "--workers", 2) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode == 75, error
    assert not list(output.glob("cells/*/failed.json"))
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    assert sweep(small_study / "study.yaml", output).exit_code == 0
    assert models(output) == models(swept)
