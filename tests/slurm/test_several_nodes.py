"""A pretraining of a study with a process on each of two nodes: one run, preempted in its middle, to the same bits."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.slurm.cluster import PATIENCE_S, Cluster
from tests.slurm.site import ENDED, ROOT, STUDY, logs, write_files
from tests.slurm.test_study import wait_for
from tests.training.pretraining.test_pretrain import assert_equal, final_state
from tests.training.rank_processes import as_rank, free_port
from tests.training.small_shards import write_small_dataset

pytestmark = pytest.mark.slurm
OPTIONS = {
    **{"recipe": "moco_cxr_resnet18", "shards": ["chexpert"], "init": "random", "image_size": 32, "epochs": 12},
    **{"batch_size": 12, "bn_groups": 6, "batch_norm": "split", "queue_size": 20, "log_every": 1},
}


def study_of_two_nodes(folder: Path, options: Mapping[str, Any]) -> Path:
    """Write a dataset, a study of one pretraining and a site file into a folder; the study's output."""
    output = folder / "study"
    (output / "logs").mkdir(parents=True)
    write_small_dataset(folder / "shards of phantoms")
    study, _ = write_files(folder, folder)
    content = {**STUDY, "datasets": {"chexpert": {"shards": "shards of phantoms"}}, "pretraining": {"tiny": options}}
    study.write_text(yaml.safe_dump(content))
    return output


def pretraining(folder: Path, output: Path) -> list[str]:
    """The command of the study's pretraining."""
    words = ("sweep", folder / "minute.yaml", "--output", output, "--data", folder, "--only", "runs/*", "--threads", 1)
    return [str(word) for word in words]


def submit_on_nodes(cluster: Cluster, folder: Path, nodes: int = 2) -> str:
    """Submit it with a process on each of one or two nodes; the job's id."""
    flags = [f"--nodes={nodes}", "--ntasks-per-node=1", "--cpus-per-task=1", "--mem=2G", "--time=120", "--gres=none"]
    output = folder / "study"
    return cluster.run(
        *("sbatch", "--parsable", *flags, f"--output={output}/logs/pretrain-%j.out"),
        *(str(ROOT / "slurm/stage.sbatch"), str(folder / "site of tests.env"), "0"),
        *("cxr-train", *pretraining(folder, output)),
        env={"MASTER_ADDR": "localhost"},  # both nodes are this machine, and no network knows their names
    ).strip()


def undisturbed_of_two_nodes(folder: Path) -> Path:
    """The run that two processes make which nobody stops."""
    alone = [sys.executable, "-c", "from training.cli.main import main; main()"]
    alone += pretraining(folder, folder / "undisturbed")
    port = free_port()
    processes = [subprocess.Popen(alone, env=os.environ | as_rank(rank, 2, port)) for rank in range(2)]
    assert [process.wait(PATIENCE_S) for process in processes] == [0, 0]
    return folder / "undisturbed" / "runs" / "tiny-seed0"


def test_two_nodes_train_one_run_that_is_preempted_and_ends_with_the_bits_of_one_that_is_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    output = study_of_two_nodes(tmp_path, OPTIONS)
    job = submit_on_nodes(cluster, tmp_path)
    wait_for(output / "runs" / "tiny-seed0" / "metrics.jsonl", 1, output)
    cluster.run("scancel", "--batch", "--signal=USR1", job)
    assert cluster.wait(job, PATIENCE_S, lambda states: states <= ENDED) == {"COMPLETED"}, logs(output)
    (fields,) = cluster.jobs(job)
    assert (fields["Restarts"], fields["NumNodes"]) == ("1", "2")
    said = logs(output)
    assert said.count("Stopped by SIGUSR1 after step") == 1
    assert "in each of 2 processes" in said
    assert "preempted: back into the queue" in said
    assert_equal(final_state(output / "runs" / "tiny-seed0"), final_state(undisturbed_of_two_nodes(tmp_path)))
