"""torchvision's networks without this project's table of architectures: what its names are held to."""

import torchvision
from torch import nn


def last_linear(architecture: str) -> tuple[str, nn.Linear]:
    """The last linear layer of torchvision's network: its dotted path, and the layer."""
    network = torchvision.models.get_model(architecture, weights=None)
    return [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]


def headless(architecture: str) -> nn.Module:
    """torchvision's network with an identity in place of its last linear layer."""
    network: nn.Module = torchvision.models.get_model(architecture, weights=None)
    parent, _, name = last_linear(architecture)[0].rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Identity())
    return network
