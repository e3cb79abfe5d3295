"""cxr-train import --run: a published checkpoint continues as a run of ours."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn

from tests.training.published_checkpoints import HEADS, published, write
from training.backbones.networks import build_backbone
from training.cli.main import main
from training.moco.model import MoCo, MoCoSettings
from training.runs.checkpoints import checkpoint_steps, load_checkpoint
from training.runs.directory import read_last
from training.runs.metrics_log import read_metrics

STEPS_PER_EPOCH = 6  # 50 images in batches of 8

RECIPE = """\
backbone: {architecture}
image_size: 32
batch_size: 8
epochs: 3
queue_size: {size}
momentum: 0.9
optimizer: {optimizer}
device: cpu
threads: 1
log_every: 2
"""


def invoke(*args: object) -> Result:
    return CliRunner().invoke(main, list(map(str, args)))


def import_it(
    folder: Path, shards: Path, content: object, architecture: str = "resnet18", size: int = 20, optimizer: str = "adam"
) -> Result:
    write(folder / "c.pth.tar", content)
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(architecture=architecture, size=size, optimizer=optimizer))
    return invoke(
        "import", folder / "c.pth.tar", folder / "out", "--run", folder / "run", "--shards", shards, "--config", recipe
    )


def moments(state: dict[str, Any], names: tuple[str, ...]) -> dict[int, list[Tensor]]:
    """Moments of the optimizer under the parameters' numbers."""
    return {number: [own[name] for name in names] for number, own in state["optimizer"]["state"].items()}


@pytest.mark.parametrize(
    ("architecture", "optimizer"),
    [
        (name, optimizer)
        for name in sorted(HEADS)
        for optimizer in ("adam", "sgd")
        if (name, optimizer) != ("resnet50", "sgd")
    ],
)
def test_a_run_goes_on_from_the_published_epoch_with_everything_that_the_file_has(
    tmp_path: Path, tiny_shards: Path, architecture: str, optimizer: str
) -> None:
    content, moco = published(architecture, optimizer=optimizer)
    result = import_it(tmp_path, tiny_shards, content, architecture, optimizer=optimizer)
    assert result.exit_code == 0, result.output
    run = tmp_path / "run"
    assert checkpoint_steps(run) == [STEPS_PER_EPOCH]
    state = load_checkpoint(run, STEPS_PER_EPOCH)
    settings = MoCoSettings(queue_size=20, momentum=0.9, temperature=0.2)
    ours = MoCo(build_backbone(architecture, 0), architecture, settings, seed=0)
    ours.load_state_dict(state["moco"])
    pairs = [(ours.query_encoder, moco.encoder_q), (ours.key_encoder, moco.encoder_k)]
    for mine, theirs in pairs:
        expected = theirs.state_dict()
        assert mine.state_dict().keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in mine.state_dict().items())
    assert torch.equal(ours.queue.keys, moco.queue)
    assert int(ours.queue.pointer) == 3
    names = ("exp_avg", "exp_avg_sq", "step") if optimizer == "adam" else ("momentum_buffer",)
    taken, given = moments(state, names), moments(content, names)
    assert len(taken) == len(list(moco.encoder_q.parameters()))
    assert any(bool(value.any()) for values in taken.values() for value in values)
    assert all(torch.equal(a, b) for n in taken for a, b in zip(taken[n], given[n], strict=True))
    assert (state["epoch"], state["loader"]["epoch"], state["loader"]["samples_consumed"]) == (1, 1, 0)

    done = invoke("pretrain", "--config", run / "config.yaml")
    assert done.exit_code == 0, done.output
    assert f"resumes after step {STEPS_PER_EPOCH} of {3 * STEPS_PER_EPOCH}" in done.output
    last = read_last(run)
    assert last is not None
    assert (last.finished, last.epoch, last.step) == (True, 3, 3 * STEPS_PER_EPOCH)
    lines = read_metrics(run)
    assert [line["step"] for line in lines] == list(range(STEPS_PER_EPOCH + 2, 3 * STEPS_PER_EPOCH + 1, 2))
    assert (run / "backbone.safetensors").is_file()


@pytest.mark.parametrize("architecture", sorted(HEADS))
def test_without_a_recipe_the_options_are_the_published_ones_of_the_files_architecture(
    architecture: str, tmp_path: Path, tiny_shards: Path
) -> None:
    """The published queue is longer than the shards: the import goes as far as to refuse it."""
    content, _ = published(architecture, size=24576)
    write(tmp_path / "c.pth.tar", content)
    result = invoke(
        "import", tmp_path / "c.pth.tar", tmp_path / "out", "--run", tmp_path / "run", "--shards", tiny_shards
    )
    assert result.exit_code == 1
    assert "The queue is to hold 24576 keys, more than half of the 50 images" in result.output


def test_a_first_step_is_the_one_that_the_published_optimizer_would_do(tmp_path: Path, tiny_shards: Path) -> None:
    """Both optimizers, given the same gradients, move the same weights to the same place."""
    content, moco = published()
    assert import_it(tmp_path, tiny_shards, content).exit_code == 0
    state = load_checkpoint(tmp_path / "run", STEPS_PER_EPOCH)
    settings = MoCoSettings(queue_size=20, momentum=0.9, temperature=0.2)
    ours = MoCo(build_backbone("resnet18", 0), "resnet18", settings, seed=0)
    ours.load_state_dict(state["moco"])
    mine = torch.optim.Adam(ours.query_encoder.parameters())
    mine.load_state_dict(state["optimizer"])
    theirs = torch.optim.Adam(nn.DataParallel(moco).parameters())
    theirs.load_state_dict(content["optimizer"])
    for encoder in (ours.query_encoder, moco.encoder_q):
        generator = torch.Generator().manual_seed(4)
        for parameter in encoder.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
    mine.step()
    theirs.step()
    expected = dict(moco.encoder_q.named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in ours.query_encoder.named_parameters())


def _moment_of_another_shape(content: dict[str, Any]) -> None:
    content["optimizer"]["state"][0]["exp_avg"] = torch.zeros(2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["state_dict"].update({"module.queue": torch.zeros(128, 24)}), "has the shape (128, 24)"),
        (lambda c: c["state_dict"].update({"module.queue": torch.zeros(64, 20)}), "the run's (128, 20)"),
        (lambda c: c["state_dict"].update({"module.queue_ptr": torch.tensor([20])}), "queue_ptr is 20, outside"),
        (lambda c: c["state_dict"].pop("module.queue"), "There is no module.queue in it"),
        (lambda c: c["state_dict"].pop("module.encoder_k.bn1.bias"), "(module.encoder_k) does not hold"),
        (lambda c: c.pop("optimizer"), "no state of an optimizer"),
        (lambda c: c["optimizer"]["param_groups"][0].update(lr=0.03), "its last epoch ran at 0.03"),
        (lambda c: c["optimizer"]["param_groups"][0].update(weight_decay=0.0), "weight_decay 0.0, the run's 0.0001"),
        (lambda c: c["optimizer"]["param_groups"][0].update(betas=(0.5, 0.999)), "betas (0.5, 0.999)"),
        (lambda c: c["optimizer"]["param_groups"].append({}), "2 groups of parameters"),
        (_moment_of_another_shape, "exp_avg of conv1.weight is (2,), not (64, 3, 7, 7)"),
        (lambda c: c.update(epoch=3), "--epochs: 3 are done in the file, the run ends after 3"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    tmp_path: Path,
    tiny_shards: Path,
    change: Any,  # noqa: ANN401 - a change of the content
    said: str,
) -> None:
    content, _ = published()
    content["state_dict"] = dict(content["state_dict"])
    change(content)
    result = import_it(tmp_path, tiny_shards, content)
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "out").exists()


def test_another_optimizer_than_the_files_is_refused(tmp_path: Path, tiny_shards: Path) -> None:
    result = import_it(tmp_path, tiny_shards, published(optimizer="sgd")[0])
    assert result.exit_code == 1
    assert "it was trained with sgd, the run has adam" in result.output


def test_a_head_of_one_layer_gives_a_backbone_and_no_run(tmp_path: Path, tiny_shards: Path) -> None:
    result = import_it(tmp_path, tiny_shards, published(mlp=False)[0])
    assert result.exit_code == 1
    assert "has one linear layer as its head" in result.output


def test_a_run_that_is_there_already_is_left_alone(tmp_path: Path, tiny_shards: Path) -> None:
    content, _ = published()
    assert import_it(tmp_path, tiny_shards, content).exit_code == 0
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    (tmp_path / "again").mkdir()
    write(tmp_path / "c.pth.tar", content)
    result = invoke(
        *("import", tmp_path / "c.pth.tar", tmp_path / "other", "--run", tmp_path / "run"),
        *("--shards", tiny_shards, "--config", tmp_path / "recipe.yaml"),
    )
    assert result.exit_code == 1
    assert "holds a run already" in result.output
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before
    assert not (tmp_path / "other").exists()


def test_a_run_without_shards_is_a_usage_error(tmp_path: Path) -> None:
    assert invoke("import", tmp_path / "c", tmp_path / "out", "--run", tmp_path / "run").exit_code == 2
