import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from tests.training.plain_torchvision import headless
from training.backbones import weight_files
from training.backbones.architectures import ARCHITECTURES
from training.backbones.backbone import initial_backbone
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights, build_backbone
from training.errors import RunError, WeightsError
from training.moco.model import MoCo, MoCoSettings
from training.provenance import Provenance
from training.runs.backbone_from import load_backbone, save_backbone
from training.runs.checkpoints import save_checkpoint
from training.runs.directory import write_last
from training.seen_patients import Seen, write_seen

PROVENANCE: Provenance = {"method": "moco-v2", "init": "random", "seed": 7, "epochs": 2, "steps": 20, "datasets": []}


def weights_of(seed: int, architecture: str = "resnet18") -> dict[str, Tensor]:
    return backbone_weights(build_backbone(architecture, seed), architecture)


def description(architecture: str = "resnet18") -> BackboneDescription:
    return BackboneDescription(architecture=architecture, image_size=96, mean=128.25, std=60.5, provenance=PROVENANCE)


def finished_run(run: Path, seed: int = 7, architecture: str = "resnet18") -> dict[str, Tensor]:
    run.mkdir()
    weights = weights_of(seed, architecture)
    save_backbone(run, weights, description(architecture))
    write_seen(run, Seen(patients=pd.DataFrame({"dataset": ["tiny"], "patient_id": ["p1"]})))
    write_last(run, 20, 2, finished=True)
    return weights


def same(network: nn.Module, weights: dict[str, Tensor]) -> bool:
    state = network.state_dict()
    return state.keys() == weights.keys() and all(torch.equal(state[name], weights[name]) for name in weights)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_backbone_file_loads_strictly_into_plain_torchvision(tmp_path: Path, architecture: str) -> None:
    weights = finished_run(tmp_path / "run", architecture=architecture)
    network = headless(architecture)
    network.load_state_dict(safetensors.torch.load_file(tmp_path / "run" / "backbone.safetensors"))
    assert same(network, weights)


def test_a_finished_run_gives_its_network_its_preprocessing_and_its_patients(tmp_path: Path) -> None:
    weights = finished_run(tmp_path / "run")
    for source in (tmp_path / "run", tmp_path / "run" / "backbone.safetensors"):
        backbone = load_backbone(str(source), mean=1.0, std=1.0)
        assert same(backbone.network, weights)
        assert (backbone.architecture, backbone.image_size) == ("resnet18", 96)
        assert (backbone.mean, backbone.std, backbone.initial) == (128.25, 60.5, "moco")
        assert backbone.provenance == PROVENANCE
        assert backbone.patients.values.tolist() == [["tiny", "p1"]]
        content = (tmp_path / "run" / "backbone.safetensors").read_bytes()
        assert backbone.digest == hashlib.sha256(content).hexdigest()


def test_random_is_where_a_run_of_that_seed_begins() -> None:
    backbone = load_backbone("random", architecture="resnet18", image_size=64, seed=7, mean=100.0, std=50.0)
    assert same(backbone.network, weights_of(7))
    assert same(initial_backbone("random", "resnet18", 7), weights_of(7))
    assert (backbone.initial, backbone.image_size, backbone.mean, backbone.std) == ("random", 64, 100.0, 50.0)
    assert backbone.provenance == PROVENANCE | {"method": "none", "epochs": 0, "steps": 0}
    assert backbone.patients.empty


@pytest.mark.parametrize(("key", "value"), [("architecture", "densenet121"), ("image_size", 320)])
def test_asking_for_something_else_than_the_run_has_is_refused(tmp_path: Path, key: str, value: str | int) -> None:
    finished_run(tmp_path / "run")
    with pytest.raises(WeightsError, match=rf"was pretrained with {key} .*, asked for is {value}"):
        load_backbone(str(tmp_path / "run"), mean=1.0, std=1.0, **{key: value})  # type: ignore[arg-type]


def test_an_unfinished_run_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    moco = MoCo(
        build_backbone("resnet18", 3), "resnet18", MoCoSettings(queue_size=4, momentum=0.9, temperature=0.2), seed=3
    )
    save_checkpoint(tmp_path, 11, {"moco": moco.state_dict(), "backbone": description().as_json()})
    write_last(tmp_path, 11, 1, finished=False)
    with pytest.raises(RunError, match=r"not a finished run: it stands at step 11"):
        load_backbone(str(tmp_path), mean=1.0, std=1.0)
    backbone = load_backbone(str(tmp_path), mean=1.0, std=1.0, allow_unfinished=True)
    assert same(backbone.network, weights_of(3))
    assert (backbone.image_size, backbone.initial) == (96, "moco")


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no backbone.json and no last.json in it. Name a run"):
        load_backbone(str(tmp_path), mean=1.0, std=1.0)


def test_weights_that_are_not_those_recorded_beside_them_are_refused(tmp_path: Path) -> None:
    finished_run(tmp_path / "run")
    safetensors.torch.save_file(weights_of(8), tmp_path / "run" / "backbone.safetensors")
    with pytest.raises(WeightsError, match=r"does not hold the weights that backbone.json records"):
        load_backbone(str(tmp_path / "run"), mean=1.0, std=1.0)


def test_a_description_of_another_format_is_refused(tmp_path: Path) -> None:
    finished_run(tmp_path / "run")
    (tmp_path / "run" / "backbone.json").write_text(json.dumps({"format_version": 2, "architecture": "resnet18"}))
    with pytest.raises(WeightsError, match="format_version is 2, not 1"):
        load_backbone(str(tmp_path / "run"), mean=1.0, std=1.0)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_with_a_head_gives_its_backbone_and_is_cited_by_name(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(5)
    state = torchvision.models.resnet18(num_classes=3).state_dict()
    path = tmp_path / f"other{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    backbone = load_backbone(str(path), mean=100.0, std=50.0)
    assert same(backbone.network, {name: value for name, value in state.items() if not name.startswith("fc.")})
    assert (backbone.initial, backbone.provenance["init"]) == ("file", path.name)


def test_the_names_of_torchvisions_own_densenet_file_are_understood(tmp_path: Path) -> None:
    wanted = weights_of(1, "densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|relu|conv))([12])\.", r"\1.\2.", name): value
        for name, value in wanted.items()
        if "num_batches_tracked" not in name
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet.pth")
    assert same(initial_backbone(str(tmp_path / "densenet.pth"), "densenet121", 0), wanted)


def test_weights_that_do_not_fit_are_refused_with_their_names(tmp_path: Path) -> None:
    weights = weights_of(0)
    weights["conv1.weight"] = torch.zeros(64, 4, 7, 7)
    weights["stem.weight"] = weights.pop("bn1.weight")
    torch.save(weights, tmp_path / "other.pth")
    with pytest.raises(WeightsError) as refusal:
        initial_backbone(str(tmp_path / "other.pth"), "resnet18", 0)
    for part in ("other.pth", "missing: bn1.weight", "left over: stem.weight", "(64, 4, 7, 7), not (64, 3, 7, 7)"):
        assert part in str(refusal.value)


def test_weights_of_the_other_architecture_are_refused_without_listing_hundreds_of_names(tmp_path: Path) -> None:
    torch.save(weights_of(0, "densenet121"), tmp_path / "d.pth")
    with pytest.raises(WeightsError, match=r"missing: .* and \d+ more; left over: .* and \d+ more\.") as refusal:
        initial_backbone(str(tmp_path / "d.pth"), "resnet18", 0)
    assert len(str(refusal.value)) < 1000


class _Exploit:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return eval, ("__import__('pathlib').Path('exploited').touch()",)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no more"])
def test_a_damaged_file_is_named_and_not_a_traceback(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name} cannot be read as weights"):
        initial_backbone(str(tmp_path / name), "resnet18", 0)


def test_a_file_that_would_run_code_is_refused_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": _Exploit()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth holds more than tensors and plain values"):
        initial_backbone(str(tmp_path / "evil.pth"), "resnet18", 0)
    assert not (tmp_path / "exploited").exists()


def test_a_training_checkpoint_of_somebody_elses_is_told_what_to_save(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "network": weights_of(0)}, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match=r"c.pth is not a state_dict .* Save the network's state_dict\(\) alone"):
        initial_backbone(str(tmp_path / "c.pth"), "resnet18", 0)


def test_missing_imagenet_weights_say_which_file_goes_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as refusal:
        load_backbone("imagenet", architecture="densenet121", mean=1.0, std=1.0)
    assert str(tmp_path / "hub" / "checkpoints" / "densenet121-a639ec97.pth") in str(refusal.value)
    assert "--init FILE" in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_an_imagenet_file_in_torchvisions_cache_is_used_if_its_hash_is_the_one_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(2)
    state = torchvision.models.resnet18().state_dict()
    torch.save(state, tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    path = tmp_path / f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    monkeypatch.setattr(weight_files, "imagenet_path", lambda _architecture: path)
    backbone = load_backbone("imagenet", architecture="resnet18", mean=1.0, std=1.0)
    assert torch.equal(backbone.network.state_dict()["conv1.weight"], state["conv1.weight"])
    assert (backbone.initial, backbone.provenance["init"]) == ("imagenet", "imagenet")
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(WeightsError, match="is damaged: its SHA-256 begins with"):
        load_backbone("imagenet", architecture="resnet18", mean=1.0, std=1.0)


def test_patients_recorded_beside_a_file_come_along(tmp_path: Path) -> None:
    finished_run(tmp_path / "run")
    (tmp_path / "run" / "backbone.json").unlink()
    backbone = load_backbone(str(tmp_path / "run" / "backbone.safetensors"), mean=1.0, std=1.0)
    assert backbone.patients.values.tolist() == [["tiny", "p1"]]
