"""Run independent tasks in processes that end with their parent, and name the task of a process that was killed.

Not concurrent.futures: its workers outlive a killed parent, and it does not name the task of a killed worker.
"""

import os
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from shards.child_process import TRY_AGAIN, ChildEndedError, ChildProcess, how_it_ended
from shards.errors import CxrError, DatasetError

PROCESS_NAME = "cxr-worker"
"""Stands in the command line of each worker."""

Report = Callable[[int, int], None]
Work = Callable[[str, Report], None]
"""Does the piece of work of this name and reports its progress."""


@dataclass
class _Worker:
    child: ChildProcess
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
            for pipe in wait([worker.child.pipe for worker in running]):
                worker = next(worker for worker in running if worker.child.pipe is pipe)
                if _receive(worker, report):
                    if pending:
                        _give(worker, pending.popleft())
                    else:
                        worker.child.stop()
                        running.remove(worker)
    finally:
        for worker in running:
            worker.child.kill()


def cores() -> int:
    """Cores that this process may use: under Slurm the job's, not the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(work: Work, task: str) -> _Worker:
    worker = _Worker(ChildProcess(PROCESS_NAME, _serve, work), task)
    _give(worker, task)
    return worker


def _give(worker: _Worker, task: str) -> None:
    """Hand over a task."""
    worker.task = task
    worker.child.send(task)


def _receive(worker: _Worker, report: Report) -> bool:
    """Take one message of a worker; True when it has finished its task."""
    try:
        with worker.child.talk() as pipe:
            kind, content = pipe.recv()
    except ChildEndedError as end:
        raise DatasetError(
            f"a worker process ended {how_it_ended(end.code)} while it was at {worker.task}; {TRY_AGAIN}"
        ) from None
    if kind == "progress":
        report(*content)
    elif kind == "refused":
        raise DatasetError(content)
    elif kind == "failed":
        raise RuntimeError(f"a worker failed at {worker.task}:\n{content}")
    return bool(kind == "finished")


def _serve(pipe: "Connection[Any, Any]", work: Work) -> None:
    """Body of a worker process: do one task after another until the parent closes the pipe."""
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            work(task, lambda *counts: pipe.send(("progress", counts)))
        except CxrError as error:
            pipe.send(("refused", str(error)))
        except Exception:
            pipe.send(("failed", traceback.format_exc()))
            raise
        pipe.send(("finished", None))
