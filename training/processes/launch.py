"""Read the rank of this process and the meeting point of all from the environment of torchrun or srun. No torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from training.errors import RunError

_FIRST_PORT, _PORTS = 12_000, 20_000  # below the ports that Linux gives to clients (32,768 and up)


@dataclass(frozen=True)
class Launch:
    """This process' place among `world_size`: `rank` over all nodes, `local_rank` on its own.

    address, port: of the store of the first one, where they meet.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    address: str = "localhost"
    port: int = 0


def launch_of(environment: Mapping[str, str]) -> Launch:
    """Read the place that torchrun, or else an srun of several tasks, has given; the only process where neither has.

    torchrun(1): RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT. srun(1): SLURM_PROCID, SLURM_STEP_NUM_TASKS,
    SLURM_LOCALID; they meet on the step's first node, at a port made of the numbers of job and step, unless MASTER_ADDR
    and MASTER_PORT say otherwise. A batch script that calls the command without srun is one process, however many
    tasks its job has. Raises RunError for variables that are missing or no numbers.
    """
    try:
        if "RANK" in environment and "WORLD_SIZE" in environment:
            launch = Launch(
                int(environment["RANK"]), int(environment["WORLD_SIZE"]), int(environment.get("LOCAL_RANK", "0"))
            )
            if launch.world_size == 1:
                return launch
            return _meeting_at(launch, environment["MASTER_ADDR"], environment["MASTER_PORT"])
        tasks = int(environment.get("SLURM_STEP_NUM_TASKS") or 1)
        if tasks == 1:
            return Launch()
        launch = Launch(int(environment["SLURM_PROCID"]), tasks, int(environment["SLURM_LOCALID"]))
        port = environment.get("MASTER_PORT") or _port(environment["SLURM_JOB_ID"], environment["SLURM_STEP_ID"])
        return _meeting_at(
            launch, environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"]), port
        )
    except (KeyError, ValueError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"The environment says that this is one of several processes, but not which: {what}. Start them with srun "
            "or torchrun, or unset RANK and WORLD_SIZE for a single one."
        ) from error


def first_host(nodes: str) -> str:
    """Return the first host of a list as Slurm writes it: `gpu007` of `gpu[007-010,12],login1`."""
    match = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\])?([^\[,]*)", nodes)
    if match is None:
        raise ValueError(f"{nodes!r} names no host")
    return "".join(part or "" for part in match.groups())


def _meeting_at(launch: Launch, address: str, port: str | int) -> Launch:
    return Launch(launch.rank, launch.world_size, launch.local_rank, address, int(port))


def _port(job: str, step: str) -> int:
    """Another port for each step of a job and for jobs that follow each other: two may share a node."""
    return _FIRST_PORT + (int(job) * 101 + int(step)) % _PORTS
