"""Weights and their records, damaged in each way, under every command that reads weights: refused in words."""

import argparse
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from click.testing import Result

from tests.robustness.commands import CPU, PRETRAINING, refused, run_eval, run_train
from tests.robustness.damages import DAMAGES
from tests.robustness.weight_inputs import Inputs
from tests.training.labelled_shards import LABELS
from training.backbones.networks import build_backbone
from training.backbones.torch_files import read_torch_file
from training.backbones.weight_files import read_weights_given
from training.errors import WeightsError


@dataclass(frozen=True)
class Source:
    """Weights that commands read. folder: of the inputs. file: in it. named: what a command is given."""

    folder: str
    file: str
    named: str
    more: tuple[object, ...] = ()


SOURCES: dict[str, Source] = {
    "file of torch": Source("pth", "weights.pth", "weights.pth"),
    "run": Source("run", "backbone.safetensors", "."),
    "file of a run": Source("run", "backbone.safetensors", "backbone.safetensors"),
    "start of a run": Source("run", "start.safetensors", ".", ("--at", "start")),
    "export": Source("export", "backbone.safetensors", "."),
    "file of a hub folder": Source("hub", "model.safetensors", "model.safetensors"),
    "file of a model": Source("model", "model.safetensors", "model.safetensors"),
}
DECLARED = ("--seen-patients", "none")


def _learn(command: str) -> Callable[[Inputs, Path, Source, Path], Result]:
    def run(i: Inputs, folder: Path, source: Source, out: Path) -> Result:
        words = ("--shards", i.shards, "--backbone-from", folder / source.named, *source.more, *DECLARED, *CPU)
        return run_train(command, *words, "--labels", LABELS[0], "--output", out)

    return run


BACKBONE_COMMANDS: dict[str, Callable[[Inputs, Path, Source, Path], Result]] = {
    "probe": _learn("probe"),
    "finetune": _learn("finetune"),
    "embed": lambda i, folder, source, out: run_eval(
        *("embed", "--shards", i.shards, "--backbone-from", folder / source.named, *source.more, *DECLARED, *CPU),
        *("--output", out),
    ),
}
OTHER_COMMANDS: dict[str, tuple[Source, Callable[[Inputs, Path, Source, Path], Result]]] = {
    **{
        f"pretrain --init, {name}": (
            SOURCES[name],
            lambda i, folder, source, out: run_train(
                *("pretrain", "--shards", i.shards, "--output", out, *PRETRAINING, "--epochs", 1, *CPU, *DECLARED),
                *("--init", folder / source.file),
            ),
        )
        for name in ("file of torch", "file of a run", "export", "file of a hub folder", "file of a model")
    },
    "pretrain --init, start of a run": (
        SOURCES["start of a run"],
        lambda i, folder, source, out: run_train(
            *("pretrain", "--shards", i.shards, "--output", out, *PRETRAINING, "--epochs", 1, *CPU, *DECLARED),
            *("--init", folder / source.file),
        ),
    ),
    "import": (
        Source("published", "checkpoint.pth.tar", "."),
        lambda i, folder, source, out: run_train("import", folder / source.file, out, *DECLARED),
    ),
    "export": (SOURCES["run"], lambda i, folder, source, out: run_train("export", folder, out)),
    "export --format hub": (
        SOURCES["run"],
        lambda i, folder, source, out: run_train("export", folder, out, "--format", "hub"),
    ),
    "predict": (
        Source("model", "model.safetensors", "."),
        lambda i, folder, source, out: run_eval(
            "predict", "--shards", i.shards, "--model", folder, "--output", out, *CPU
        ),
    ),
}
CASES: dict[str, tuple[Source, Callable[[Inputs, Path, Source, Path], Result]]] = {
    **{f"{name}, {source}": (SOURCES[source], run) for name, run in BACKBONE_COMMANDS.items() for source in SOURCES},
    **OTHER_COMMANDS,
}
"""Every command that reads weights, with each kind of source that it takes."""


CELLS = [(case, "flipped bit") for case in CASES] + [
    (case, damage)
    for case in CASES
    for damage in DAMAGES
    if damage != "flipped bit" and case.partition(",")[0] in ("embed", "import", "predict")
]
"""The bit that nobody sees under every command; what is easily seen once for each way of reading."""


@pytest.mark.parametrize(("case", "damage"), CELLS)
def test_damaged_weights_are_refused_by_every_command_that_reads_them(
    case: str, damage: str, inputs: Inputs, tmp_path: Path
) -> None:
    source, run = CASES[case]
    folder = tmp_path / source.folder
    shutil.copytree(inputs.folder / source.folder, folder, copy_function=_linked)
    path = folder / source.file
    shutil.copy2(inputs.folder / source.folder / source.file, _unlinked(path))
    DAMAGES[damage](path)
    refused(run(inputs, folder, source, tmp_path / "out"), source.file)
    assert not (tmp_path / "out").exists()


def _linked(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target


def _unlinked(path: Path) -> Path:
    path.unlink()
    return path


@pytest.mark.parametrize("name", SOURCES)
def test_undamaged_weights_are_taken(name: str, inputs: Inputs, tmp_path: Path) -> None:
    source = SOURCES[name]
    found = BACKBONE_COMMANDS["embed"](inputs, inputs.folder / source.folder, source, tmp_path / "out")
    assert found.exit_code == 0, found.output


def test_weights_of_timm_from_a_file_are_held_to_the_same(inputs: Inputs, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    for damage in DAMAGES:
        path = tmp_path / f"{damage}.pth"
        shutil.copy(inputs.folder / "pth" / "weights.pth", path)
        DAMAGES[damage](path)
        words = ("--shards", inputs.shards, "--backbone-from", "timm:resnet18", "--weights", path, *CPU)
        refused(run_eval("embed", *words, "--output", tmp_path / "out"), path.name)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:  # noqa: ANN401 - pickle's own
        return os.mkdir, (str(self.made),)


def _torch_files(folder: Path) -> dict[str, Path]:
    """Files that torch reads, or says how to read with the protection off."""
    weights = {"a": torch.ones(30), "options": argparse.Namespace(lr=1.0)}
    torch.save(weights, folder / "namespace.pth")
    torch.save(weights, folder / "namespace_old.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), folder / "module.pth")
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(folder / "script.pth"))  # type: ignore[no-untyped-call]
    (folder / "pickle.pth").write_bytes(pickle.dumps(Evil(folder / "made"), 2))
    torch.save({"a": torch.ones(1).expand(10**12)}, folder / "view.pth")
    torch.save({"a": torch.eye(3).to_sparse()}, folder / "sparse.pth")
    torch.save({3: torch.ones(3)}, folder / "numbers.pth")
    loop: list[Any] = [torch.ones(3)]
    loop.append(loop)
    torch.save(loop, folder / "loop.pth")
    return {path.stem: path for path in sorted(folder.iterdir())}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_no_file_makes_a_command_say_that_protection_is_to_be_switched_off(inputs: Inputs, tmp_path: Path) -> None:
    found = _torch_files(tmp_path)
    assert len(found) == 9
    for path in found.values():
        for command in ("probe", "embed"):
            source = Source("", path.name, path.name)
            refused(BACKBONE_COMMANDS[command](inputs, tmp_path, source, tmp_path / "out"), path.name)
        result = run_train("import", path, tmp_path / "out")
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)
        assert "GLOBAL" not in result.output
    assert not (tmp_path / "made").exists()


def test_every_changed_byte_of_a_small_file_of_torch_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.arange(3.0)}, path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 16
        path.write_bytes(content)
        try:
            found = read_torch_file(path)
        except WeightsError:
            continue
        assert torch.equal(found["a"], torch.arange(3.0)), place


def test_files_of_older_torch_are_read_and_refused_where_they_are_cut(inputs: Inputs, tmp_path: Path) -> None:
    old = inputs.folder / "old" / "weights.pth"
    assert torch.equal(
        read_weights_given(old)["conv1.weight"], build_backbone("resnet18", seed=3).state_dict()["conv1.weight"]
    )
    for damage in ("cut", "empty", "text"):
        path = tmp_path / "weights.pth"
        shutil.copy(old, path)
        DAMAGES[damage](path)
        with pytest.raises(WeightsError, match=r"weights\.pth cannot be read as weights"):
            read_weights_given(path)


def test_weights_saved_again_with_the_same_numbers_are_those_that_were_recorded(inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.folder / "export", tmp_path / "export")
    path = tmp_path / "export" / "backbone.safetensors"
    weights = read_weights_given(path)
    safetensors.torch.save_file(weights, path, {"format": "pt", "by": "another program"})
    assert read_weights_given(path).keys() == weights.keys()
    weights["conv1.weight"][0] += 1
    safetensors.torch.save_file(weights, path)
    with pytest.raises(WeightsError, match=r"does not hold the weights that preprocessing\.json beside it records"):
        read_weights_given(path)


@pytest.mark.parametrize("record", ["cut", "empty", "text"])
def test_a_spoiled_record_beside_weights_is_said(record: str, inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.folder / "hub", tmp_path / "hub")
    DAMAGES[record](tmp_path / "hub" / "config.json")
    with pytest.raises(WeightsError, match=r"config\.json, which records the digest of the weights beside it"):
        read_weights_given(tmp_path / "hub" / "model.safetensors")


def test_the_description_of_another_program_beside_weights_is_none_of_ours(inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.folder / "hub", tmp_path / "hub")
    for content in ({"architectures": ["ResNet"]}, {"digest": "of something"}, [1, 2], {"digest": 3}):
        (tmp_path / "hub" / "config.json").write_text(json.dumps(content))
        assert "conv1.weight" in read_weights_given(tmp_path / "hub" / "model.safetensors")
