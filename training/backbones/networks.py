"""Build the backbones, and make their input from a batch of gray pixels."""

import copy
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn

from training.backbones import timm_networks
from training.backbones.architectures import TABLE, is_timm
from training.backbones.description import GrayLevels


@dataclass(frozen=True)
class Preprocessing:
    """How images are prepared for a network. image_size: side in pixels. mean, std: 0..255."""

    image_size: int
    mean: GrayLevels
    std: GrayLevels


def head_name(architecture: str) -> str:
    """Look up torchvision's path of the last linear layer, such as `fc` for a ResNet; of timm's networks, ours."""
    return timm_networks.HEAD if is_timm(architecture) else TABLE[architecture].head


def feature_dimension(architecture: str) -> int:
    """Look up the length of the feature vector before the head, such as 512 for a ResNet-18."""
    if is_timm(architecture):
        return timm_networks.timm_feature_dimension(architecture)
    return TABLE[architecture].features


def build_backbone(architecture: str, seed: int) -> nn.Module:
    """Build the architecture with random weights and an identity in place of its head: [N, 3, H, W] -> [N, D].

    The same seed gives the same weights on any device: they are drawn on the CPU, in torchvision's order and by
    torchvision's initialisation. The random state of the process does not change. Dropout and stochastic depth are off:
    two views of an image would differ in which parts of the network saw them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if is_timm(architecture):
            return timm_networks.build_timm_network(architecture)
        # Always with torchvision's 1000 outputs: ResNet draws its convolutions after it has drawn the head.
        network: nn.Module = torchvision.models.get_model(architecture, weights=None)
    for module in network.modules():
        if isinstance(module, nn.Dropout | torchvision.ops.StochasticDepth):
            module.p = 0.0
    return attach_head(network, architecture, nn.Identity())


def set_stochastic_depth(network: nn.Module, probability: float) -> int:
    """Drop residual branches in training, by torchvision's rule; returns how many there are that can be.

    probability: of the last branch; it rises from 0 at the first in equal parts (Huang et al. 2016).
    """
    branches = [module for module in network.modules() if isinstance(module, torchvision.ops.StochasticDepth)]
    for number, branch in enumerate(branches):
        branch.p = probability * number / max(1, len(branches) - 1)
    return len(branches)


def attach_head(network: nn.Module, architecture: str, head: nn.Module) -> nn.Module:
    """Put `head` where torchvision has its last linear layer, in place, and return the network."""
    parent, _, name = head_name(architecture).rpartition(".")
    setattr(network.get_submodule(parent), name, head)
    return network


def feature_network(network: nn.Module, architecture: str) -> nn.Module:
    """Copy the network without its head: [N, 3, H, W] -> features [N, D]. The original keeps its head."""
    return attach_head(copy.deepcopy(network), architecture, nn.Identity())


def backbone_weights(network: nn.Module, architecture: str) -> dict[str, Tensor]:
    """Collect the network's parameters and buffers under torchvision's names, without those of its head."""
    head = head_name(architecture) + "."
    return {name: value.detach() for name, value in network.state_dict().items() if not name.startswith(head)}


def images_to_input(batch: Tensor, mean: GrayLevels, std: GrayLevels, tones: Tensor | None = None) -> Tensor:
    """Normalise gray pixels and show them to all three input channels, on the device they are on.

    batch: uint8 [N, 1, H, W]. mean, std: in gray levels, 0..255, for all channels or one a channel. tones: the tone
    curve of each image, float32 [N, 256], on any device: the gray level that each pixel value stands for. Returns
    float32 [N, 3, H, W], channels last.
    """
    if batch.dtype != torch.uint8 or batch.ndim != 4 or batch.shape[1] != 1:
        raise ValueError(f"expected uint8 [N, 1, H, W], found {batch.dtype} {list(batch.shape)}")
    mean_level, std_level = _levels(mean, batch.device), _levels(std, batch.device)
    if tones is None:
        gray = (batch.float() - mean_level) / std_level  # [N, 1, H, W] or [N, 3, H, W]
    else:
        # The table is normalised, not the pixels: one lookup is all that a pixel costs.
        levels = tones.to(batch.device, non_blocking=True)[:, None, None]  # [N, 1, 1, 256]
        gray = _looked_up(batch, ((levels - mean_level) / std_level).squeeze(2))
    return gray.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def _looked_up(batch: Tensor, tables: Tensor) -> Tensor:
    """Replace pixels, uint8 [N, 1, H, W], by the values in the tables of their image, [N, C, 256]: [N, C, H, W]."""
    pixels = batch.flatten(2).long().expand(-1, tables.shape[1], -1)  # [N, C, H * W]
    return tables.gather(2, pixels).view(-1, tables.shape[1], *batch.shape[2:])


def per_channel(levels: GrayLevels) -> list[float]:
    """One value for each of the three input channels."""
    return [float(levels)] * 3 if isinstance(levels, float | int) else list(levels)


def _levels(levels: GrayLevels, device: torch.device) -> float | Tensor:
    if isinstance(levels, float | int):
        return levels
    return torch.tensor(levels, dtype=torch.float32, device=device)[:, None, None]


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move the network, in place, with its weights laid out channels last: the layout that convolutions are fast in."""
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
