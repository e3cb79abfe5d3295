"""One study folder and its page for all tests of the report: making them takes seconds. Threads stay as they were."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from evaluation.report.page.render import write_report
from tests.evaluation.study import build_study


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """A command takes the threads that it is told to, also in this process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a real study's. Not to be changed by a test."""
    return build_study(tmp_path_factory.mktemp("study") / "a <b>study")


@pytest.fixture(scope="session")
def report_file(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's page, without images."""
    output = tmp_path_factory.mktemp("page") / "report.html"
    write_report(study_folder, output, with_images=False)
    return output
