"""`cxr-train fetch-weights` puts the official file where the other commands look for it, or nothing."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from click.testing import CliRunner, Result

from training.backbones.weight_files import read_imagenet
from training.cli.main import main as cxr_train


def fetch(*words: str) -> Result:
    return CliRunner().invoke(cxr_train, ["fetch-weights", *words])


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that stands for torchvision's, served by a file: address, with the digest in its name as theirs have."""
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "weights.pth")
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    served = tmp_path / f"resnet18-{digest[:8]}.pth"
    (tmp_path / "weights.pth").rename(served)
    weights = torchvision.models.get_model_weights("resnet18").IMAGENET1K_V1
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    before = weights.value.url
    object.__setattr__(weights.value, "url", served.as_uri())
    yield served
    object.__setattr__(weights.value, "url", before)


def test_the_file_is_fetched_once_checked_and_read_by_the_other_commands(official: Path, tmp_path: Path) -> None:
    result = fetch("--architecture", "resnet18")
    assert result.exit_code == 0, result.output
    path = tmp_path / "cache" / "hub" / "checkpoints" / official.name
    assert path.read_bytes() == official.read_bytes()
    assert "fc.weight" in read_imagenet("resnet18")
    assert "is there already" in fetch("--architecture", "resnet18").output


def test_another_file_than_the_official_one_leaves_nothing(official: Path, tmp_path: Path) -> None:
    official.write_bytes(b"something else")
    result = fetch("--architecture", "resnet18")
    assert result.exit_code == 1
    assert "is not the official file" in result.output
    assert not list((tmp_path / "cache" / "hub" / "checkpoints").iterdir())


def test_without_network_it_says_where_to_run_it(tmp_path: Path) -> None:
    """In a network namespace without interfaces, where the system allows one."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--net", "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    program = "from training.cli.main import main; main()"
    command = [unshare, "--net", sys.executable, "-c", program, "fetch-weights", "--architecture", "resnet18"]
    environment = {**os.environ, "TORCH_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    assert "cannot be fetched" in done.stderr
    assert "Run this command where there is network" in done.stderr
