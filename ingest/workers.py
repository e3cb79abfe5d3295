"""Run independent tasks in processes that end with their parent, and name the task of a process that was killed.

Not concurrent.futures: its workers outlive a killed parent, and it does not name the task of a killed worker.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from shards.ended_process import TRY_AGAIN, how_it_ended
from shards.errors import CxrError, DatasetError

Report = Callable[[int, int], None]
Work = Callable[[str, Report], None]
"""Does the piece of work of this name and reports its progress."""


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: "Connection[Any, Any]"
    task: str


def run(work: Work, tasks: Sequence[str], workers: int, report: Report) -> None:
    """Do every task, at most `workers` at a time; in this process where one is enough.

    work: picklable; raises CxrError for what the person at the terminal should read. The first failure ends all
    workers at once and is raised here. Work must therefore be atomic by itself.
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(task, report)
        return
    pending = deque(tasks)
    running: list[_Worker] = []
    try:
        while pending and len(running) < workers:
            running.append(_start(work, pending.popleft()))
        while running:
            for pipe in wait([worker.pipe for worker in running]):
                worker = next(worker for worker in running if worker.pipe is pipe)
                if _receive(worker, report):
                    if pending:
                        _give(worker, pending.popleft())
                    else:
                        _give(worker, None)
                        worker.process.join()
                        running.remove(worker)
    finally:
        for worker in running:
            worker.process.kill()
        for worker in running:
            worker.process.join()


def cores() -> int:
    """Cores that this process may use: under Slurm the job's, not the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(work: Work, task: str) -> _Worker:
    context = multiprocessing.get_context("spawn")  # OpenCV and Arrow have threads that a fork would leave behind
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(work, there), daemon=True)
    process.start()
    there.close()
    worker = _Worker(process, here, task)
    _give(worker, task)
    return worker


def _give(worker: _Worker, task: str | None) -> None:
    """Hand over a task, None to stop. A worker that is dead already is noticed when its answer is read."""
    worker.task = task or worker.task
    with contextlib.suppress(ConnectionError):
        worker.pipe.send(task)


def _receive(worker: _Worker, report: Report) -> bool:
    """Take one message of a worker; True when it has finished its task."""
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        how = how_it_ended(worker.process.exitcode or 0)
        raise DatasetError(f"a worker process ended {how} while it was at {worker.task}; {TRY_AGAIN}") from None
    if kind == "progress":
        report(*content)
    elif kind == "refused":
        raise DatasetError(content)
    elif kind == "failed":
        raise RuntimeError(f"a worker failed at {worker.task}:\n{content}")
    return bool(kind == "finished")


def _serve(work: Work, pipe: "Connection[Any, Any]") -> None:
    """Body of a worker process: do one task after another until it receives None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while (task := pipe.recv()) is not None:
        try:
            work(task, lambda *counts: pipe.send(("progress", counts)))
        except CxrError as error:
            pipe.send(("refused", str(error)))
        except Exception:
            pipe.send(("failed", traceback.format_exc()))
            raise
        pipe.send(("finished", None))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
