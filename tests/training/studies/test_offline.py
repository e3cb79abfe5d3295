"""A study on nodes without a network: weights are brought there as a file, and no other command needs one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision
import yaml

from tests.training.studies.small_study import changed

BIN = Path(sys.executable).parent
IN_A_NAMESPACE = ("unshare", "--map-root-user", "--net")
"""A network namespace of its own: no interface is up in it, not even loopback."""


@pytest.fixture
def offline() -> tuple[str, ...]:
    """What a command runs under; a skip that says why where the system does not allow it."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not on this machine")
    allowed = subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True, text=True)
    if allowed.returncode:
        pytest.skip(f"no network namespace can be made here: {allowed.stderr.strip()}")
    return IN_A_NAMESPACE


def test_all_commands_of_a_study_run_without_a_network_once_the_weights_are_there(
    offline: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "shared" / "torch"))
    # Stands for a file of ImageNet weights: torchvision's own are refused by their digest, and cannot be had offline.
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "weights.pth")

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [*offline, str(BIN / str(words[0])), *map(str, words[1:])]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, env=os.environ)

    def succeeds(*words: object) -> None:
        done = run(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"

    content = changed("pretraining", "tiny", "init", value="weights.pth")
    content["pretraining"]["tiny"] |= {"seen_patients": "none", "queue_size": 8}
    content["datasets"] = {"labelled": {"shards": "shards"}}
    content["methods"]["finetune"] |= {"epochs": 1}
    content["targets"][0] |= {"labels": ["Pleural Effusion"], "fractions": [1.0], "missing": "zeros"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    succeeds("cxr-ingest", "make-phantom", "raw", "--chexpert-patients", 30, "--shenzhen-images", 0)
    split = ("--valid-fraction", 0.2, "--test-fraction", 0.3, "--short-side", 64, "--name", "phantom")
    succeeds("cxr-ingest", "build-shards", "raw/CheXpert-v1.0-small", "shards", "--dataset", "chexpert", *split)
    succeeds("cxr-train", "sweep", "study.yaml", "--output", "out", "--device", "cpu", "--threads", 1)
    succeeds("cxr-eval", "study", "out", "--device", "cpu", "--threads", 1)
    assert len(list(tmp_path.glob("out/cells/*/test.csv"))) == 4
    assert (tmp_path / "out" / "report.html").is_file()
    refused = run("cxr-train", "fetch-weights", "--architecture", "densenet121")
    assert refused.returncode == 1
    assert "Run this command where there is network, with TORCH_HOME in a folder that the nodes see" in refused.stderr
