"""List the backbones: torchvision's name, path of the head, length of the features. The only such table.

No torch here, so that a command line can offer the choices at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A network of torchvision. name: torchvision's. head: dotted path of the last linear layer.

    features: length of the vector that this layer takes. batch_norm: whether the network has BatchNorm. timm: timm's
    name of it, None where timm lacks it. in_timm: whether timm has it with the same names of parameters.
    """

    name: str
    head: str
    features: int
    timm: str | None = None
    batch_norm: bool = True
    in_timm: bool = False


TABLE = {
    architecture.name: architecture
    for architecture in (
        Architecture("resnet18", head="fc", features=512, timm="resnet18", in_timm=True),
        Architecture("resnet50", head="fc", features=2048, timm="resnet50", in_timm=True),
        Architecture("densenet121", head="classifier", features=1024, timm="densenet121", in_timm=True),
        Architecture("mobilenet_v2", head="classifier.1", features=1280, timm="mobilenetv2_100"),
        Architecture("convnext_tiny", head="classifier.2", features=768, timm="convnext_tiny", batch_norm=False),
    )
}

ARCHITECTURES = tuple(TABLE)
"""Choices of `--backbone`."""

TIMM = "timm:"
"""What the name of a network of timm begins with, as in `--backbone-from timm:mobilenetv2_100`."""


def is_timm(architecture: str) -> bool:
    """Tell whether a name is one of timm's, as `timm:mobilenetv2_100`."""
    return architecture.startswith(TIMM)
