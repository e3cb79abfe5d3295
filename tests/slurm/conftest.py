"""One Slurm for all tests of this folder, stopped at the end; skipped with a message where none can be started."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing, running_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running two-node Slurm; its folder is none of pytest's, whose rights munged refuses."""
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="cxr-slurm-") as folder:
        Path(folder).chmod(0o755)
        with running_cluster(Path(folder)) as running:
            yield running
