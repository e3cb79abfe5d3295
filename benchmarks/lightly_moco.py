"""Train MoCo as a user of lightly writes it: the other side of a comparison, as lightly's documentation does it.

Follows lightly's documented example (docs.lightly.ai, examples/moco, and tutorial 2, "Train MoCo on CIFAR-10", from
which come the shuffled keys, SGD's momentum and weight decay, the cosine and the transform without blur). It
shares with this project a backbone and the JPEGs of shards, and nothing of its MoCo. lightly is imported when it is
used: it is no dependency of the project (`pip install lightly`, or the extra `compare`).
"""

import copy
import importlib.util
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.loading.sample_reader import SampleReader

DIMENSION = 128


@dataclass(frozen=True)
class LightlySettings:
    """Hyperparameters; the defaults are those of lightly's tutorial, which has 50,000 images and batches of 512.

    lr, sgd_momentum, weight_decay: of SGD, under a cosine that is stepped after each epoch. temperature, memory_bank
    (keys): of the loss. momentum: of the key encoder.
    """

    lr: float = 0.06
    sgd_momentum: float = 0.9
    weight_decay: float = 5e-4
    temperature: float = 0.1
    memory_bank: int = 4096
    momentum: float = 0.99


def lightly_is_there() -> bool:
    """Check whether lightly is installed."""
    return importlib.util.find_spec("lightly") is not None


def require_lightly() -> None:
    """Raise ClickException, with what to do, where lightly is not installed."""
    if not lightly_is_there():
        raise click.ClickException(
            "lightly is not installed, so there is nothing to compare with: pip install lightly==1.6.0 "
            "(or this project with its extra `compare`)."
        )


class LightlyMoCo(nn.Module):
    """Query encoder, momentum encoder, both with lightly's head, and lightly's loss with its memory bank."""

    def __init__(self, backbone: nn.Module, settings: LightlySettings, features: int = 512) -> None:
        """backbone: [N, 3, H, W] -> [N, features]; becomes the query encoder.

        Head and memory bank are drawn from torch's own random state.
        """
        require_lightly()
        from lightly.loss import NTXentLoss
        from lightly.models.modules import MoCoProjectionHead
        from lightly.models.utils import deactivate_requires_grad

        super().__init__()
        self.settings = settings
        self.backbone = backbone
        self.projection_head = MoCoProjectionHead(features, features, DIMENSION)
        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_head_momentum)
        self.criterion = NTXentLoss(
            temperature=settings.temperature, memory_bank_size=(settings.memory_bank, DIMENSION)
        )

    def forward(self, query_view: Tensor, key_view: Tensor) -> Tensor:
        """Loss of a batch of two normalised views, each float32 [N, 3, H, W]; moves the momentum encoder first."""
        from lightly.models.utils import batch_shuffle, batch_unshuffle, update_momentum

        update_momentum(self.backbone, self.backbone_momentum, self.settings.momentum)
        update_momentum(self.projection_head, self.projection_head_momentum, self.settings.momentum)
        query = self.projection_head(self.backbone(query_view).flatten(start_dim=1))
        with torch.no_grad():
            shuffled, order = batch_shuffle(key_view)
            key = self.projection_head_momentum(self.backbone_momentum(shuffled).flatten(start_dim=1))
            key = batch_unshuffle(key, order)
        loss: Tensor = self.criterion(query, key)
        return loss


def lightly_optimizer(model: LightlyMoCo) -> torch.optim.SGD:
    """Make the tutorial's SGD over all parameters that carry a gradient."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings = model.settings
    return torch.optim.SGD(trained, lr=settings.lr, momentum=settings.sgd_momentum, weight_decay=settings.weight_decay)


def lightly_epoch(
    model: LightlyMoCo, optimizer: torch.optim.Optimizer, batches: Iterable[tuple[Tensor, Tensor]]
) -> float:
    """Train on batches of (query view, key view), each float32 [N, 3, H, W]. Returns the mean loss of the batches."""
    model.train()
    losses = []
    for query_view, key_view in batches:
        loss = model(query_view, key_view)
        losses.append(loss.detach())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(torch.stack(losses).mean())


def lightly_transform(image_size: int, mean: float, std: float) -> Any:  # noqa: ANN401 - lightly's own, untyped
    """lightly's MoCo v2 views: an RGB PIL image to a list of two float32 tensors [3, image_size, image_size].

    mean, std: of gray levels, 0..1. As the tutorial has it for small images there is no blur, and as lightly advises
    for them half the colour jitter. Saturation, hue and random gray are off: they leave a gray image as it is, and cost
    time.
    """
    require_lightly()
    from lightly.transforms.moco_transform import MoCoV2Transform

    return MoCoV2Transform(
        input_size=image_size,
        cj_strength=0.5,
        cj_sat=0.0,
        cj_hue=0.0,
        random_gray_scale=0.0,
        gaussian_blur=0.0,
        normalize={"mean": [mean] * 3, "std": [std] * 3},
    )


class RgbViews(TorchDataset[list[Tensor]]):
    """The train images of several datasets as RGB through a transform. The JPEGs are held in memory."""

    def __init__(self, datasets: Sequence[Dataset], transform: Any) -> None:  # noqa: ANN401 - lightly's own, untyped
        reader = SampleReader([(dataset, select(dataset, "train")) for dataset in datasets])
        self.encoded = [bytes(reader.read(place)) for place in range(len(reader.sample_ids))]
        reader.close()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, place: int) -> list[Tensor]:
        """Two views of one image, each float32 [3, H, W]."""
        views: list[Tensor] = self.transform(Image.open(io.BytesIO(self.encoded[place])).convert("RGB"))
        return views
