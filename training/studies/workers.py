"""Train cells in several processes of one machine, each with its share of the threads and its own shared inputs."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from training.studies.cells import Cell
from training.studies.shared_inputs import SharedInputs
from training.studies.stopping import Stopped, stopped_by_signals
from training.studies.training_parts import FAILED, STOPPED, Ended, Place, train_cell

LOGS = "logs"
_END_S = 240.0
"""For the step under way and its checkpoint."""


class _Worker:
    """State: the process, the pipe to it, the cell that it trains, and whose inputs it holds."""

    def __init__(self, number: int, place: Place) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(number, place, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.cell: Cell | None = None
        self.inputs: tuple[str, str] | None = None

    def give(self, queue: list[Cell]) -> None:
        """Send the next cell, one of the same backbone where there is one."""
        number = next((n for n, cell in enumerate(queue) if _inputs(cell) == self.inputs), 0)
        self.cell = queue.pop(number)
        self.inputs = _inputs(self.cell)
        self.pipe.send(self.cell)


def trained_by_workers(place: Place, cells: Sequence[Cell], workers: int) -> Iterator[Ended]:
    """Train the cells in `workers` processes; how each ended, as they end. A process that dies fails its cell only.

    Raises Stopped where a worker was stopped, by a signal or a time limit; the others are stopped too then.
    """
    queue = list(cells)
    number = 0
    running: list[_Worker] = []
    try:
        while queue or running:
            while queue and len(running) < workers:
                running.append(_Worker(number, place))
                running[-1].give(queue)
                number += 1
            ready = wait([worker.pipe for worker in running])
            for worker in [worker for worker in running if worker.pipe in ready]:
                ended = _ended(worker)
                if ended.how == STOPPED:
                    raise Stopped(ended.error)
                yield ended
                if not worker.process.is_alive() or not queue:
                    running.remove(worker)
                    worker.pipe.close()
                else:
                    worker.give(queue)
    except BaseException:
        _stop(running)
        raise
    for worker in running:
        worker.process.join()


def _ended(worker: _Worker) -> Ended:
    try:
        ended: Ended = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        path = worker.cell.path if worker.cell else "a worker"
        return Ended(path, FAILED, f"its process ended with {_status(worker.process.exitcode)}")
    return ended


def _status(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"


def _inputs(cell: Cell) -> tuple[str, str]:
    return cell.run.path, cell.arm.name


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_END_S)
        worker.process.kill()


def _work(number: int, place: Place, pipe: Connection) -> None:
    """Train what comes through the pipe until it is closed. Output goes to a log of this worker."""
    logs = place.output / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    log = os.open(logs / f"worker-{number}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and stops its workers by SIGTERM
    inputs = SharedInputs()
    try:
        with stopped_by_signals():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                pipe.send(train_cell(place, pipe.recv(), inputs))
    except Stopped as stopped:
        with contextlib.suppress(OSError):  # a parent that is stopped itself no longer listens
            pipe.send(Ended("", STOPPED, str(stopped)))
    except (EOFError, BrokenPipeError):
        return
