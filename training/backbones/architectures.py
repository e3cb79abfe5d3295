"""The table of backbones: what torchvision calls them, where their head is, how long their features are.

No torch here, so that a command line can offer the choices at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """name: torchvision's. head: dotted path of the last linear layer. features: length of the vector before it."""

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
"""What `--backbone` may be."""
