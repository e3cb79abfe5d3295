"""Faults of a cluster: processes, slurmstepd or a whole node are killed; the step ends, and the run resumes."""

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.slurm.cluster import PATIENCE_S, Cluster, step_daemons, wait_until
from tests.slurm.site import ENDED, ROOT, STUDY, jobs_of, logs, submit_study, write_files
from tests.slurm.test_several_nodes import OPTIONS, study_of_two_nodes, submit_on_nodes, undisturbed_of_two_nodes
from tests.training.labelled_shards import write_labelled_dataset
from tests.training.pretraining.test_pretrain import assert_equal, final_state
from training.runs.checkpoints import checkpoint_steps
from training.runs.metrics_log import read_metrics

pytestmark = pytest.mark.slurm

MINUTES = 600.0
"""Seconds in which a step must end that has lost a process, slurmstepd or its node, on a loaded machine too: srun waits
60 for the others, and a node that does not answer for 60 (SlurmdTimeout of slurm.conf.in) is down."""
SLURMS_DEFAULT = 300
"""SlurmdTimeout where slurm.conf has none."""

STOPPED, RESUMED = r"Stopped by SIGTERM after step (\d+) of", r"resumes after step (\d+) of"


def processes_of(cluster: Cluster, job: str, rank: int) -> list[int]:
    """Process ids of a rank of a job's step."""
    of_job = set(cluster.processes("SLURM_JOB_ID", job)) & set(cluster.processes("SLURM_PROCID", str(rank)))
    found: list[int] = []
    for pid in of_job:
        with contextlib.suppress(OSError):
            if b"cxr-train" in (Path("/proc") / str(pid) / "cmdline").read_bytes():
                found.append(pid)
    return found


def kill_processes(cluster: Cluster, job: str, rank: int) -> None:
    """Kill what a job runs as a rank, as a node without memory does: no process has the time to say anything."""
    pids = [pid for pid in processes_of(cluster, job, rank) if not _is_of_slurm(pid)]
    assert pids, f"job {job} runs nothing as rank {rank}"
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_of_slurm(pid: int) -> bool:
    """Whether a process is the batch shell or srun, which live on another node than a step's processes in general."""
    name = (Path("/proc") / str(pid) / "comm").read_text().strip()
    return name in ("srun", "bash", "slurm_script") or name.startswith("slurmstepd")


def task_of(cluster: Cluster, job: str) -> str:
    """Job id of the first task of an array."""
    return min(fields["JobId"] for fields in cluster.jobs(job))


def test_a_pretraining_and_a_fine_tuning_whose_processes_are_killed_are_repaired_by_submitting_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    write_labelled_dataset(tmp_path / "shards of phantoms", name="phantom")
    study, site = write_files(tmp_path, tmp_path)
    content = {**STUDY, "methods": {"finetune": {"epochs": 16, "min_steps": 8, "batch_size": 4}}}
    content["pretraining"] = {"tiny": {**STUDY["pretraining"]["tiny"], "epochs": 8}}
    study.write_text(yaml.safe_dump(content), encoding="utf-8")
    output = tmp_path / "out"
    run = output / "runs" / "tiny-seed0"
    first = jobs_of(submit_study(cluster, study, site, output))
    assert sorted(first) == ["pretrain", "study", "sweep"]
    wait_until(lambda: bool(checkpoint_steps(run)), lambda: logs(output), PATIENCE_S)
    kill_processes(cluster, task_of(cluster, first["pretrain"]), 0)
    assert cluster.wait(first["pretrain"], MINUTES, lambda states: states <= ENDED) == {"FAILED"}, logs(output)
    assert cluster.wait(first["study"], PATIENCE_S, lambda states: states <= ENDED) == {"CANCELLED"}
    assert cluster.states(first["sweep"]) == {"CANCELLED"}

    second = jobs_of(submit_study(cluster, study, site, output))
    assert sorted(second) == ["pretrain", "study", "sweep"]
    tuned = sorted(f"{output}/cells/tiny-{arm}-seed0-finetune-default-effusion-1.0-draw0" for arm in ("start", "moco"))
    wait_until(lambda: any(len(read_metrics(Path(cell))) > 2 for cell in tuned), lambda: logs(output), PATIENCE_S)
    for fields in cluster.jobs(second["sweep"]):
        if processes_of(cluster, fields["JobId"], 0):
            kill_processes(cluster, fields["JobId"], 0)
    assert cluster.wait(second["study"], PATIENCE_S, lambda states: states <= ENDED) == {"COMPLETED"}, logs(output)
    assert "FAILED" in cluster.states(second["sweep"])
    assert "missing: cells/" in logs(output)
    assert "resumes after step" in logs(output)

    third = jobs_of(submit_study(cluster, study, site, output))
    assert sorted(third) == ["study", "sweep"]
    cluster.wait(third["study"], PATIENCE_S, lambda states: states <= ENDED)
    assert cluster.states(third["sweep"]) == {"COMPLETED"}, logs(output)
    assert len(list(output.glob("cells/*/done.json"))) == 2
    assert (output / "tables" / "gains.csv").is_file()


def test_a_node_that_loses_its_processes_ends_the_step_of_both_within_minutes(cluster: Cluster, tmp_path: Path) -> None:
    output = study_of_two_nodes(tmp_path, {**OPTIONS, "epochs": 40})
    run = output / "runs" / "tiny-seed0"
    job = submit_on_nodes(cluster, tmp_path)
    wait_until(lambda: bool(checkpoint_steps(run)), lambda: logs(output), PATIENCE_S)
    kill_processes(cluster, job, 1)
    assert cluster.wait(job, MINUTES, lambda states: states <= ENDED) == {"FAILED"}, logs(output)
    assert restarts(cluster, job) == "0"  # both nodes live: another start would fail again
    assert not processes_of(cluster, job, 0)
    step = checkpoint_steps(run)[-1]
    again = submit_on_nodes(cluster, tmp_path)
    assert cluster.wait(again, PATIENCE_S, lambda states: states <= ENDED) == {"COMPLETED"}, logs(output)
    assert f"resumes after step {step} of" in logs(output)
    assert_equal(final_state(run), final_state(undisturbed_of_two_nodes(tmp_path)))


def kill_slurmstepd(cluster: Cluster, job: str, rank: int) -> None:
    """Kill the slurmstepd of a rank alone; the rank's own processes are left."""
    (pid,) = step_daemons([pid for pid in processes_of(cluster, job, rank) if not _is_of_slurm(pid)])
    os.kill(pid, signal.SIGKILL)


def restarts(cluster: Cluster, job: str) -> str:
    """How often a job was put back into the queue."""
    (fields,) = cluster.jobs(job)
    return fields["Restarts"]


def long_run(cluster: Cluster, folder: Path, nodes: int) -> tuple[Path, str]:
    """Submit a pretraining that takes a while and wait for its first checkpoint; its run directory and job."""
    output = study_of_two_nodes(folder, {**OPTIONS, "epochs": 24})
    run = output / "runs" / "tiny-seed0"
    job = submit_on_nodes(cluster, folder, nodes)
    wait_until(lambda: bool(checkpoint_steps(run)), lambda: logs(output), PATIENCE_S)
    return run, job


def test_a_step_of_two_nodes_that_loses_a_slurmstepd_is_requeued_after_a_checkpoint(
    cluster: Cluster, tmp_path: Path
) -> None:
    _, job = long_run(cluster, tmp_path, 2)
    kill_slurmstepd(cluster, job, 1)
    wait_until(lambda: restarts(cluster, job) == "1", lambda: logs(tmp_path / "study"), MINUTES)
    assert cluster.wait(job, PATIENCE_S, lambda states: states <= ENDED) == {"COMPLETED"}, logs(tmp_path / "study")
    stopped, resumed = re.search(STOPPED, logs(tmp_path / "study")), re.findall(RESUMED, logs(tmp_path / "study"))
    assert stopped is not None
    assert resumed == [stopped[1]]


def test_a_step_of_one_process_that_loses_its_slurmstepd_ends_within_minutes(cluster: Cluster, tmp_path: Path) -> None:
    run, job = long_run(cluster, tmp_path, 1)
    kill_slurmstepd(cluster, job, 0)
    assert cluster.wait(job, MINUTES, lambda states: states <= ENDED) == {"FAILED"}, logs(tmp_path / "study")
    assert not processes_of(cluster, job, 0)
    assert "slurmstepd of step 0 is gone from this node" in logs(tmp_path / "study")
    step = checkpoint_steps(run)[-1]
    again = submit_on_nodes(cluster, tmp_path, 1)
    assert cluster.wait(again, PATIENCE_S, lambda states: states <= ENDED) == {"COMPLETED"}, logs(tmp_path / "study")
    assert f"resumes after step {step} of" in logs(tmp_path / "study")


@pytest.mark.parametrize(
    "flags",
    [
        ["--ntasks-per-node=1"],
        ["--ntasks-per-node=4", "--cpus-per-task=2", "--gres=gpu:4"],
        ["--ntasks-per-node=2", "--gpus-per-node=2"],
        ["--gpus=4", "--ntasks-per-gpu=1"],
        ["--ntasks=4", "--gpus-per-task=1"],
    ],
    ids=" ".join,
)
def test_a_step_that_fails_on_two_living_nodes_fails_at_once_and_is_not_requeued(
    cluster: Cluster, tmp_path: Path, flags: list[str]
) -> None:
    _, site = write_files(tmp_path, tmp_path)
    log = tmp_path / "log"
    job = cluster.run(
        *("sbatch", "--parsable", "--nodes=2", *flags, "--mem=2G", "--time=120", f"--output={log}"),
        *(str(ROOT / "slurm/stage.sbatch"), str(site), "0", "bash", "-c", "exit 3"),
    ).strip()
    assert cluster.wait(job, PATIENCE_S, lambda states: states <= ENDED) == {"FAILED"}
    (fields,) = cluster.jobs(job)
    assert (fields["ExitCode"], fields["Restarts"]) == ("3:0", "0")
    assert "requeue" not in log.read_text()  # nor asked slurmctld for minutes because a node had not started a process


def log_of_a_run_that_lost_a_node(cluster: Cluster, folder: Path, nodes: int) -> str:
    """Kill a node of a long run, wait until its job is requeued, start the node again, and wait for the end; the log.

    The node is that of the batch shell where the job has no other.
    """
    run, job = long_run(cluster, folder, nodes)
    (fields,) = cluster.jobs(job)
    node = fields["BatchHost"] if nodes == 1 else next(n for n in ("n1", "n2") if n != fields["BatchHost"])
    step = checkpoint_steps(run)[-1]
    cluster.kill_node(node)
    try:
        wait_until(lambda: restarts(cluster, job) == "1", lambda: logs(folder / "study"), MINUTES)
    finally:
        cluster.start_node(node)
    assert cluster.wait(job, PATIENCE_S, lambda states: states <= ENDED) == {"COMPLETED"}, logs(folder / "study")
    assert restarts(cluster, job) == "1"
    said = logs(folder / "study")
    assert [int(one) >= step for one in re.findall(RESUMED, said)] == [True]
    return said.replace(node, "NODE")


def test_a_job_whose_node_dies_is_requeued_by_slurm_and_resumes(cluster: Cluster, tmp_path: Path) -> None:
    assert "back into the queue" not in log_of_a_run_that_lost_a_node(cluster, tmp_path, 1)


def test_a_job_that_loses_one_of_two_nodes_is_requeued_before_slurm_knows_and_resumes(
    cluster: Cluster, tmp_path: Path
) -> None:
    with cluster.slurmd_timeout(SLURMS_DEFAULT):  # Slurm itself would requeue it long after srun has given up the step
        said = log_of_a_run_that_lost_a_node(cluster, tmp_path, 2)
    assert said.count("NODE no longer answers: back into the queue (restart 0 so far)") == 1, said
