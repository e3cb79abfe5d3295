import pytest

from training.errors import RunError
from training.processes.launch import Launch, first_host, launch_of

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "gpu3", "MASTER_PORT": "29500"}
SRUN = {
    "SLURM_PROCID": "5",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
}


def test_torchrun_and_srun_say_which_process_this_is() -> None:
    assert launch_of(TORCHRUN) == Launch(5, 8, 1, "gpu3", 29500)
    by_srun = launch_of(SRUN)
    assert (by_srun.rank, by_srun.world_size, by_srun.local_rank, by_srun.address) == (5, 8, 1, "gpu03")
    assert launch_of(SRUN | TORCHRUN) == Launch(5, 8, 1, "gpu3", 29500)  # torchrun under srun
    assert launch_of(SRUN | {"MASTER_ADDR": "ib0", "MASTER_PORT": "1234"}) == Launch(5, 8, 1, "ib0", 1234)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="a shell"),
        pytest.param({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "1"}, id="a batch script without srun"),
        pytest.param(SRUN | {"SLURM_STEP_NUM_TASKS": "1"}, id="srun of one task"),
        pytest.param({"RANK": "0", "WORLD_SIZE": "1"}, id="torchrun of one process"),
    ],
)
def test_nothing_else_is_more_than_one_process(environment: dict[str, str]) -> None:
    assert launch_of(environment).world_size == 1


def test_steps_and_jobs_that_share_a_node_meet_at_different_ports() -> None:
    pairs = [(job, step) for job in range(4711, 4721) for step in range(10)]
    ports = {launch_of(SRUN | {"SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)}).port for job, step in pairs}
    assert len(ports) == len(pairs)
    assert all(1024 < port < 32768 for port in ports)


@pytest.mark.parametrize("missing", ["MASTER_ADDR", "MASTER_PORT"])
def test_what_torchrun_would_have_set_and_is_not_there_is_named(missing: str) -> None:
    environment = {key: value for key, value in TORCHRUN.items() if key != missing}
    with pytest.raises(
        RunError, match=f"one of several processes, but not which: {missing} is missing.*srun or torchrun"
    ):
        launch_of(environment)


def test_a_rank_that_is_no_number_is_refused() -> None:
    with pytest.raises(RunError, match=r"invalid literal.*first"):
        launch_of(TORCHRUN | {"RANK": "first"})


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("login1", "login1"),
        ("gpu[007-010,12],login1", "gpu007"),
        ("gpu[7]", "gpu7"),
        ("gpu[3,9-12]", "gpu3"),
        ("rack2-gpu[1-2]-ib", "rack2-gpu1-ib"),
        ("a.site.org,b.site.org", "a.site.org"),
    ],
)
def test_the_first_host_of_slurms_list(nodes: str, host: str) -> None:
    assert first_host(nodes) == host
