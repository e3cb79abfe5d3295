"""slurm/pretrain.sbatch with a process on each of two nodes: one run, preempted in its middle, to the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.test_chain import PATIENCE_S, ROOT, STUDY_OF_A_MINUTE, logs, wait_for_first_step
from tests.training.pretraining.test_pretrain import assert_equal, final_state
from tests.training.rank_processes import as_rank, free_port
from tests.training.small_shards import write_small_dataset

pytestmark = pytest.mark.slurm
OPTIONS = "--epochs 12 --batch-size 12 --bn-groups 6 --batch-norm split --queue-size 20 --log-every 1 --threads 1"


def test_two_nodes_train_one_run_that_is_preempted_and_ends_with_the_bits_of_one_that_is_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    (study / "logs").mkdir(parents=True)
    write_small_dataset(tmp_path / "tiny")
    parameters = {
        **STUDY_OF_A_MINUTE,
        "STUDY": str(study),
        "SHARDS": str(tmp_path / "tiny"),
        "IMAGE_SIZE": "32",
        "PRETRAIN_OPTIONS": OPTIONS,
        "MASTER_ADDR": "localhost",  # both nodes are this machine, and no network knows their names
    }
    flags = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--mem=2G", "--time=10", "--gres=none"]
    log = f"--output={study}/logs/pretrain-%j.out"
    submitted = cluster.run("sbatch", "--parsable", *flags, log, str(ROOT / "slurm/pretrain.sbatch"), env=parameters)
    job = submitted.strip()
    wait_for_first_step(cluster, job, study / "pretrain" / "metrics.jsonl", study)
    cluster.run("scancel", "--batch", "--signal=USR1", job)
    ended = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
    assert cluster.wait(job, PATIENCE_S, lambda states: states <= ended) == {"COMPLETED"}, logs(study)
    (fields,) = cluster.jobs(job)
    assert (fields["Restarts"], fields["NumNodes"]) == ("1", "2")
    said = logs(study)
    assert said.count("Stopped by SIGUSR1 after step") == 1
    assert "in each of 2 processes" in said
    assert "preempted: back into the queue" in said
    command = [sys.executable, "-c", "from training.cli.main import main; main()", "pretrain"]
    command += ["--config=moco_cxr_resnet18", f"--shards={tmp_path / 'tiny'}", f"--output={tmp_path / 'undisturbed'}"]
    command += ["--init=random", "--backbone=resnet18", "--image-size=32", *OPTIONS.split()]
    port = free_port()
    processes = [subprocess.Popen(command, env=os.environ | as_rank(rank, 2, port)) for rank in range(2)]
    assert [process.wait(PATIENCE_S) for process in processes] == [0, 0]
    assert_equal(final_state(study / "pretrain"), final_state(tmp_path / "undisturbed"))
