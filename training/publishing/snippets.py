"""Write the lines of Python that load exported weights into torchvision's and timm's networks, for a model card."""

import re

from training.backbones.architectures import TABLE


def torchvision_snippet(architecture: str, file: str) -> str:
    """Load the file into torchvision's network, whose last linear layer becomes an identity."""
    return (
        "import safetensors.torch, torch, torchvision\n\n"
        f"network = torchvision.models.{architecture}()\n"
        f"network.{_as_expression(TABLE[architecture].head)} = torch.nn.Identity()\n"
        f'network.load_state_dict(safetensors.torch.load_file("{file}"))\n'
    )


def timm_snippet(architecture: str, file: str) -> str | None:
    """Load the file into timm's network; None where timm has no such network.

    Where timm has other names of parameters, its layers come in the same order as torchvision's: the tensors are taken
    over in that order, in timm's shapes (a layer scale of torchvision's ConvNeXt is [C, 1, 1], of timm's [C]).
    """
    entry = TABLE[architecture]
    if entry.timm is None:
        return None
    if entry.in_timm:
        return (
            "import safetensors.torch, timm\n\n"
            f'network = timm.create_model("{entry.timm}", num_classes=0)\n'
            f'network.load_state_dict(safetensors.torch.load_file("{file}"))\n'
        )
    return (
        "import safetensors.torch, timm, torchvision\n\n"
        f'weights = safetensors.torch.load_file("{file}")\n'
        f"order = [name for name in torchvision.models.{architecture}().state_dict() if name in weights]\n"
        f'network = timm.create_model("{entry.timm}", num_classes=0)  # the same layers under other names\n'
        "pairs = zip(network.state_dict().items(), order, strict=True)\n"
        "network.load_state_dict({name: weights[own].reshape(value.shape) for (name, value), own in pairs})\n"
    )


def preprocessing_snippet() -> str:
    """Make the network's input of a radiograph, by config.json."""
    return (
        "import json, numpy, PIL.Image, torch\n"
        "from torchvision.transforms import v2\n\n"
        'described = json.load(open("config.json"))["preprocessing"]\n'
        'gray = PIL.Image.open("radiograph.png").convert("L")  # 8 bits; bones are bright\n'
        "pixels = torch.from_numpy(numpy.array(gray))[None] / 255\n"
        'side = described["image_size"]\n'
        "pixels = v2.CenterCrop(side)(v2.Resize(side, antialias=True)(pixels)).expand(3, -1, -1)\n"
        'images = v2.Normalize(described["mean"], described["std"])(pixels)[None]\n'
        "with torch.inference_mode():\n"
        "    features = network.eval()(images)\n"
    )


def _as_expression(path: str) -> str:
    """A dotted path of modules as Python: `classifier.1` is classifier[1]."""
    return re.sub(r"\.(\d+)", r"[\1]", path)
