"""Files as the published MoCo-CXR code writes them (moco/builder.py, main_moco.py), made with torchvision alone."""

import copy
import re
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

HEADS = {"resnet18": "fc", "resnet50": "fc", "densenet121": "classifier"}
"""Networks that the published code can give a head of two layers: those whose last layer has a name of its own."""


class PublishedMoCo(nn.Module):
    """Two encoders, a queue [D, K] and its pointer [1], under the published names; the statistics are not trivial."""

    queue: Tensor
    queue_ptr: Tensor

    def __init__(self, architecture: str, *, mlp: bool, size: int, dimension: int = 128) -> None:
        super().__init__()
        self.encoder_q: nn.Module = torchvision.models.get_model(architecture, num_classes=dimension)
        head = HEADS[architecture]
        if mlp:
            last = getattr(self.encoder_q, head)
            width = last.in_features
            setattr(self.encoder_q, head, nn.Sequential(nn.Linear(width, width), nn.ReLU(), last))
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        self.register_buffer("queue", nn.functional.normalize(torch.randn(dimension, size), dim=0))
        self.register_buffer("queue_ptr", torch.tensor([3]))

    def forward(self, images: Tensor) -> Tensor:
        """Keys move the key encoder's statistics; queries are returned."""
        with torch.no_grad():
            self.encoder_k(images.flip(3))
        queries: Tensor = self.encoder_q(images)
        return queries


def published(
    architecture: str = "resnet18", *, mlp: bool = True, size: int = 20, optimizer: str = "adam", epoch: int = 1
) -> tuple[dict[str, Any], PublishedMoCo]:
    """The content of a file after a real step of the optimizer, and the module that it is of."""
    torch.manual_seed(11)
    moco = PublishedMoCo(architecture, mlp=mlp, size=size)
    wrapped = nn.DataParallel(moco)
    parameters = list(wrapped.parameters())  # the key encoder's too, as published
    stepper = (
        torch.optim.Adam(parameters, lr=1e-4, betas=(0.9, 0.999), weight_decay=1e-4)
        if optimizer == "adam"
        else torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)
    )
    wrapped(torch.randn(4, 3, 32, 32)).square().mean().backward()
    stepper.step()
    stepper.zero_grad()
    content = {
        "epoch": epoch,
        "arch": architecture,
        "state_dict": wrapped.state_dict(),
        "optimizer": stepper.state_dict(),
    }
    return content, moco.eval()


def features_of(moco: PublishedMoCo, architecture: str) -> nn.Module:
    """The original query encoder up to its features."""
    network = copy.deepcopy(moco.encoder_q)
    setattr(network, HEADS[architecture], nn.Identity())
    return network.eval()


def old_densenet_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of torchvision's first DenseNet: denselayer1.norm.1, not denselayer1.norm1; no counts of batches."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|relu|conv))([12])\.", r"\1.\2.", name): value
        for name, value in state.items()
        if "num_batches_tracked" not in name
    }


def write(path: Path, content: object) -> Path:
    """torch.save, as main_moco.py does."""
    torch.save(content, path)
    return path
