"""The rule of tests/no_skips_in_ci.py: what CI installs for must run there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

RULE = Path(__file__).parents[1] / "no_skips_in_ci.py"
SUITE = """
import pytest

@pytest.mark.slurm
def test_a(): pytest.skip("no slurmctld")

@pytest.mark.chromium
@pytest.mark.skipif(True, reason="no browser")
def test_b(): pass

@pytest.fixture
def cluster(): pytest.skip("not root")

@pytest.mark.slurm
def test_c(cluster): pass

@pytest.mark.gpu
def test_d(): pytest.skip("no GPU")

@pytest.mark.slurm
@pytest.mark.xfail
def test_e(): assert False
"""


def run_suite(folder: Path, ci: str) -> str:
    shutil.copy(RULE, folder / "conftest.py")
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  slurm: x\n  chromium: x\n  gpu: x\n")
    command = [sys.executable, "-m", "pytest", "-rf", "-p", "no:cacheprovider", "-o", "addopts=", str(folder)]
    environment = {**os.environ, "CI": ci}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout


def test_a_skipped_slurm_or_chromium_test_fails_under_ci_with_its_reason(tmp_path: Path) -> None:
    output = run_suite(tmp_path, "true")
    assert "1 failed, 1 skipped, 1 xfailed, 2 errors" in output  # pytest calls a failure before the test an error
    for reason in ("no slurmctld", "no browser", "not root"):
        assert reason in output


def test_outside_ci_the_same_tests_are_only_skipped(tmp_path: Path) -> None:
    assert "4 skipped, 1 xfailed" in run_suite(tmp_path, "")
