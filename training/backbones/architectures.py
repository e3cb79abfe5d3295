"""List the backbones: torchvision's name, path of the head, length of the features. The only such table.

No torch here, so that a command line can offer the choices at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A network of torchvision. name: torchvision's. head: dotted path of the last linear layer.

    features: length of the vector that this layer takes.
    """

    name: str
    head: str
    features: int


TABLE = {
    architecture.name: architecture
    for architecture in (
        Architecture("resnet18", head="fc", features=512),
        Architecture("densenet121", head="classifier", features=1024),
    )
}

ARCHITECTURES = tuple(TABLE)
"""Choices of `--backbone`."""
