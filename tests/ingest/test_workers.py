import os
import time
from functools import partial
from pathlib import Path

import pytest

from ingest.workers import Report, run
from shards.errors import DatasetError


def leave_a_mark(folder: Path, task: str, report: Report) -> None:
    """Work that records how often it was done, and by which process."""
    (folder / f"{task}-{os.getpid()}").touch(exist_ok=False)
    time.sleep(0.01)
    report(3, 1)


def refuse(task: str, report: Report) -> None:
    """Work that fails as work may."""
    if task == "7":
        raise DatasetError(f"task {task} is refused")


def stumble(task: str, report: Report) -> None:
    """Work with a bug."""
    raise KeyError("nobody expected this")


def exit_silently(task: str, report: Report) -> None:
    """Work that ends its process."""
    os._exit(3)


@pytest.mark.parametrize(("tasks", "workers"), [(0, 2), (1, 2), (9, 1), (9, 2), (2, 3)])
def test_every_task_is_done_once_and_all_progress_is_reported(tmp_path: Path, tasks: int, workers: int) -> None:
    counts = []
    run(partial(leave_a_mark, tmp_path), list(map(str, range(tasks))), workers, lambda *done: counts.append(done))
    marks = [path.name.split("-") for path in tmp_path.iterdir()]
    assert sorted(int(task) for task, _ in marks) == list(range(tasks))
    assert len({process for _, process in marks}) <= workers
    assert counts == [(3, 1)] * tasks


@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusal_reaches_the_caller_as_it_is(workers: int) -> None:
    with pytest.raises(DatasetError, match=r"^task 7 is refused$"):
        run(refuse, list(map(str, range(12))), workers, lambda read, rejected: None)


def test_a_bug_in_the_work_comes_with_its_traceback_and_its_task() -> None:
    with pytest.raises(RuntimeError, match=r"at [ab]:\n(.|\n)*nobody expected this"):
        run(stumble, ["a", "b"], 2, lambda read, rejected: None)


def test_a_worker_that_ends_by_itself_is_named_with_its_task() -> None:
    with pytest.raises(DatasetError, match=r"exit status 3 while it was at [ab]"):
        run(exit_silently, ["a", "b"], 2, lambda read, rejected: None)
