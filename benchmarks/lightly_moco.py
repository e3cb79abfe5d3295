"""lightly's MoCo example as a user would take it from its documentation, over the JPEGs of our shards.

Encoded images flow in, training steps come out. lightly is no dependency of this project (`pip install lightly`); it is
imported when a loop is built.
"""

import copy
import io
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from training.networks import build_backbone, feature_dimension

INSTALL = "lightly is not installed: its side is left out (`pip install lightly`; measured with 1.6.0)."


def is_installed() -> bool:
    """Whether lightly and what its modules import can be imported."""
    try:
        import lightly.loss  # noqa: F401
    except ImportError:
        return False
    return True


class Jpegs(Dataset[tuple[Sequence[Tensor], int]]):
    """Encoded images under a transform of PIL images, as torchvision's ImageFolder would give them."""

    def __init__(self, images: Sequence[bytes], transform: Any) -> None:  # noqa: ANN401 - lightly has no types here
        self._images, self._transform = images, transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> tuple[Sequence[Tensor], int]:
        return self._transform(Image.open(io.BytesIO(self._images[place])).convert("RGB")), 0


class LightlyLoop:
    """State: networks, memory bank, optimizer and the workers' batches of the example (docs, "MoCo", release 1.6).

    The backbone, head, optimizer, temperature and queue are those of our side; views are lightly's MoCoV2Transform.
    """

    def __init__(
        self, images: Sequence[bytes], *, architecture: str, image_size: int, batch_size: int, queue: int, workers: int
    ) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import MoCoProjectionHead
        from lightly.models.utils import deactivate_requires_grad
        from lightly.transforms.moco_transform import MoCoV2Transform

        features = feature_dimension(architecture)
        self.backbone = build_backbone(architecture, seed=0).train()
        self.head: nn.Module = MoCoProjectionHead(features, features, 128)
        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.head_momentum = copy.deepcopy(self.head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.head_momentum)
        self.criterion: nn.Module = NTXentLoss(temperature=0.2, memory_bank_size=(queue, 128))
        trained = [*self.backbone.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(trained, lr=1e-4, weight_decay=1e-4)
        self.loader = DataLoader(
            Jpegs(images, MoCoV2Transform(input_size=image_size)),
            batch_size=batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=True,
        )
        self.total_loss = torch.zeros(())
        self._batches = self._endless()

    def steps(self, count: int) -> None:
        """Train so many steps."""
        from lightly.models.utils import batch_shuffle, batch_unshuffle, update_momentum

        for _ in range(count):
            (x_query, x_key), _target = next(self._batches)
            update_momentum(self.backbone, self.backbone_momentum, m=0.999)
            update_momentum(self.head, self.head_momentum, m=0.999)
            query = self.head(self.backbone(x_query).flatten(start_dim=1))
            with torch.no_grad():
                shuffled, order = batch_shuffle(x_key)
                key = self.head_momentum(self.backbone_momentum(shuffled).flatten(start_dim=1))
                key = batch_unshuffle(key, order)
            loss = self.criterion(query, key)
            self.total_loss += loss.detach()
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader
