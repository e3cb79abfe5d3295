"""Start a run from a published checkpoint: its encoders, queue, optimizer and epoch become the run's first checkpoint.

What does not fit is refused before anything is written, with both values.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from shards.loading.loaders import TwoViewLoader
from training.backbones.networks import build_backbone
from training.backbones.published_checkpoint import OptimizerSetting, Published
from training.backbones.weight_files import fill_encoder
from training.errors import RunError
from training.moco.model import DIMENSION, MoCo, MoCoSettings
from training.pretraining.command import start_run_at
from training.pretraining.options import PretrainOptions
from training.pretraining.trainer import Trainer
from training.schedules import learning_rate

_MOMENTS = {"adam": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}
_GROUP: dict[str, dict[str, OptimizerSetting]] = {
    "adam": {"betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False},
    "sgd": {"momentum": 0.9, "dampening": 0, "nesterov": False},
}


def import_run(published: Published, options: PretrainOptions) -> Path:
    """Start the run of `options` where the published one stood; returns its checkpoint.

    options: with published.architecture. Raises RunError naming everything that does not fit.
    """
    query, key = _encoder(published, published.query, "q"), _encoder(published, published.key, "k")
    refused = [*_queue_differs(published, options), *_optimizer_differs(published, options, query)]
    if published.epoch >= options.epochs:
        refused.append(f"--epochs: {published.epoch} are done in the file, the run ends after {options.epochs}")
    if refused:
        raise RunError(
            f"{published.path} cannot be resumed as the run that was asked for. {'; '.join(refused)}. Give what "
            "differs in a recipe (--config), or import the backbone alone (without --run) and name it by --init."
        )

    def place(trainer: Trainer, loader: TwoViewLoader) -> None:
        moco = trainer.moco
        moco.query_encoder.load_state_dict(query.state_dict())
        moco.key_encoder.load_state_dict(key.state_dict())
        assert published.queue is not None  # _queue_differs
        moco.queue.keys.copy_(published.queue)
        moco.queue.pointer.fill_(published.pointer)
        _place_moments(trainer.optimizer, moco.query_encoder, published, _MOMENTS[options.optimizer])
        trainer.steps = published.epoch * trainer.steps_per_epoch
        loader.load_state_dict({**loader.state_dict(), "epoch": published.epoch, "samples_consumed": 0, "passed": 0})

    return start_run_at(options, place)


def _encoder(published: Published, weights: Mapping[str, Tensor], which: str) -> nn.Module:
    """Build the encoder with its head, on the CPU. Raises WeightsError with the names that do not fit."""
    source = f"{published.path} (module.encoder_{which})"
    if not published.mlp:
        raise RunError(
            f"{published.path} has one linear layer as its head (MoCo v1), a run of ours has two (v2). Import the "
            "backbone alone, without --run."
        )
    network = build_backbone(published.architecture, seed=0)
    settings = MoCoSettings(queue_size=1, momentum=0.0, temperature=1.0)
    encoder = MoCo(network, published.architecture, settings, seed=0).query_encoder
    fill_encoder(encoder, published.architecture, weights, source)
    return encoder


def _queue_differs(published: Published, options: PretrainOptions) -> list[str]:
    if published.queue is None:
        return ["There is no module.queue in it"]
    found, wanted = tuple(published.queue.shape), (DIMENSION, options.queue_size)
    if found != wanted:
        return [f"--queue-size: module.queue has the shape {found}, the run's {wanted}"]
    if not 0 <= published.pointer < options.queue_size:
        return [f"module.queue_ptr is {published.pointer}, outside the queue"]
    return []


def _optimizer_differs(published: Published, options: PretrainOptions, query: nn.Module) -> list[str]:
    """List what keeps the file's optimizer from continuing as the run's, one line for each difference."""
    if published.optimizer is None:
        return ["There is no state of an optimizer in it"]
    groups = published.optimizer.groups
    if len(groups) != 1:
        return [f"Its optimizer has {len(groups)} groups of parameters, the published code has one"]
    group, found = groups[0], "adam" if "betas" in groups[0] else "sgd"
    if found != options.optimizer:
        return [f"--optimizer: it was trained with {found}, the run has {options.optimizer}"]
    wanted = {**_GROUP[found], "weight_decay": options.weight_decay}
    differing = [
        f"its optimizer has {name} {group.get(name)!r}, the run's {value!r}"
        for name, value in wanted.items()
        if name in group and not _same(group[name], value)
    ]
    lr = learning_rate(
        max(published.epoch - 1, 0),
        schedule=options.schedule,
        lr=options.lr,
        milestones=options.milestones,
        epochs=options.epochs,
        steps_per_epoch=1,
    )
    if not _same(group.get("lr"), lr):
        differing.append(f"--lr, --schedule: its last epoch ran at {group.get('lr')!r}, the run's would at {lr!r}")
    for number, (name, parameter) in enumerate(query.named_parameters()):
        moments = published.optimizer.moments.get(number, {})
        for moment in _MOMENTS[found]:
            value = moments.get(moment)
            if not isinstance(value, Tensor) or value.shape != parameter.shape:
                shape = tuple(value.shape) if isinstance(value, Tensor) else "missing"
                return [*differing, f"its optimizer's {moment} of {name} is {shape}, not {tuple(parameter.shape)}"]
    return differing


def _place_moments(
    optimizer: torch.optim.Optimizer, query: nn.Module, published: Published, moments: tuple[str, ...]
) -> None:
    """Copy the optimizer's moments.

    The published one counts all parameters of its module, those of the query encoder first (builder.py).
    """
    assert published.optimizer is not None  # _optimizer_differs
    for number, parameter in enumerate(query.parameters()):
        found = published.optimizer.moments[number]
        own = {name: torch.empty_like(parameter).copy_(torch.as_tensor(found[name])) for name in moments}
        if "step" in found:  # a plain number before torch 1.12
            own["step"] = torch.tensor(float(found["step"]))
        optimizer.state[parameter] = own


def _same(found: OptimizerSetting, wanted: OptimizerSetting) -> bool:
    if isinstance(found, (tuple, list)) and isinstance(wanted, tuple):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, (int, float)) and isinstance(wanted, (int, float)):
        return math.isclose(found, wanted, rel_tol=1e-6)
    return bool(found == wanted)
