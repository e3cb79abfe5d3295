"""The two backbones, and the way from a batch of gray pixels to their input.

Flows in: an architecture's name and a seed. Flows out: a torchvision network whose head is an identity.
Knows no files, no runs and no loss.
"""

import copy

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from training.backbones.architectures import TABLE


def head_name(architecture: str) -> str:
    """torchvision's name of the last linear layer: `fc` of a ResNet, `classifier` of a DenseNet."""
    return TABLE[architecture].head


def feature_dimension(architecture: str) -> int:
    """Length of the feature vector before the head: 512 for resnet18, 1024 for densenet121."""
    return TABLE[architecture].features


def build_backbone(architecture: str, seed: int) -> nn.Module:
    """The architecture with random weights, an identity in place of its head: [N, 3, H, W] -> [N, D].

    The same seed gives the same weights on any device: they are drawn on the CPU, in torchvision's order and by
    torchvision's initialisation. The process' own random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Always with torchvision's 1000 outputs: ResNet draws its convolutions after it has drawn the head.
        network: nn.Module = torchvision.models.get_model(architecture, weights=None)
    return attach_head(network, architecture, nn.Identity())


def attach_head(network: nn.Module, architecture: str, head: nn.Module) -> nn.Module:
    """Put `head` where torchvision has its last linear layer, in place, and return the network."""
    parent, _, name = head_name(architecture).rpartition(".")
    setattr(network.get_submodule(parent), name, head)
    return network


def feature_network(network: nn.Module, architecture: str) -> nn.Module:
    """A copy of the network that ends in its features: [N, 3, H, W] -> [N, D]. The original keeps its head."""
    return attach_head(copy.deepcopy(network), architecture, nn.Identity())


def backbone_weights(network: nn.Module, architecture: str) -> dict[str, Tensor]:
    """The network's parameters and buffers under torchvision's names, without those of its head."""
    head = head_name(architecture) + "."
    return {name: value.detach() for name, value in network.state_dict().items() if not name.startswith(head)}


def images_to_input(batch: Tensor, mean: float, std: float) -> Tensor:
    """Normalise gray pixels and show them to all three input channels, on the device they are on.

    batch: uint8 [N, 1, H, W]. mean, std: in gray levels, 0..255. Returns float32 [N, 3, H, W], channels last.
    """
    if batch.dtype != torch.uint8 or batch.ndim != 4 or batch.shape[1] != 1:
        raise ValueError(f"expected uint8 [N, 1, H, W], found {batch.dtype} {list(batch.shape)}")
    gray = (batch.float() - mean) / std
    return gray.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move the network, in place, with its weights laid out channels last: the layout that convolutions are fast in."""
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def stream_seed(seed: int, stream: int) -> int:
    """A seed for one of several independent streams of random numbers of a run (head, queue, ...)."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> 1)
