"""Several processes that train together, on this machine: how tests start them."""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

PATIENCE_S = 300  # of a machine that does other work; a quiet one needs a few


_MEETINGS = 16
_ports: list[int] = []


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def as_rank(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What torchrun sets in the environment of one of its processes."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }


def on_ranks(world_size: int, work: Callable[[Path], None], folder: Path) -> list[str]:
    """Call work(folder) in so many processes, each with its place in the environment.

    work: a function at the top of a module. Returns, by rank, what it ended with: nothing, or the end of a traceback.
    """
    context = multiprocessing.get_context("spawn")
    ports = [free_port() for _ in range(_MEETINGS)]
    processes = [
        context.Process(target=_work, args=(work, folder, rank, world_size, ports)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_S)
        assert process.exitcode is not None, "it waits for another one"
    said = [folder / f"error-{rank}.txt" for rank in range(world_size)]
    return [path.read_text() if path.is_file() else "" for path in said]


def meet_elsewhere() -> None:
    """In `work`, before the processes join again: use another port, since the first one may still hold the old one."""
    os.environ["MASTER_PORT"] = str(_ports.pop())


def _work(work: Callable[[Path], None], folder: Path, rank: int, world_size: int, ports: list[int]) -> None:
    _ports[:] = ports
    os.environ.update(as_rank(rank, world_size, _ports.pop()))
    torch.set_num_threads(1)
    try:
        work(folder)
    except BaseException:
        (folder / f"error-{rank}.txt").write_text(traceback.format_exc())
        raise
