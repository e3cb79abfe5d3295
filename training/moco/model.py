"""MoCo v2 (He et al. 2020; Chen et al. 2020): a query encoder, its slow copy, a queue of keys, InfoNCE.

Two views of a batch of images become logits in which column 0 is right. Everything runs on the device that the module
has been moved to.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.backbones.networks import attach_head, feature_dimension
from training.moco.batch_norm import running_statistics, split_batch_norm, transposed
from training.moco.queue import QueueOfKeys
from training.random_streams import RandomStream, stream_seed

DIMENSION = 128
"""Length of queries and keys (He et al. 2020, section 3.3)."""


def info_nce_logits(
    query: Tensor, key: Tensor, queue: Tensor, temperature: float, same_image: Tensor | None = None
) -> Tensor:
    """Compute the similarity of each query to its key and to every negative, over temperature.

    query, key: [N, D], unit length. queue: [D, K], unit columns, carries no gradient. same_image: bool [N, K], keys
    that are no negatives of a query, since they are of its own image; their logits are -inf.
    Returns [N, 1 + K]; column 0 is the positive (He et al. 2020, eq. 1).
    """
    positive = (query * key).sum(dim=1, keepdim=True)  # [N, 1]
    negative = query @ queue  # [N, K]
    if same_image is not None:
        negative = negative.masked_fill(same_image, -torch.inf)
    return torch.cat([positive, negative], dim=1) / temperature


def info_nce_loss(logits: Tensor) -> Tensor:
    """Compute the cross entropy of picking column 0, mean over the batch. logits: [N, 1 + K]. Returns a scalar."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


@torch.no_grad()
def momentum_update(slow: Iterable[Tensor], fast: Iterable[Tensor], momentum: float) -> None:
    """slow = momentum * slow + (1 - momentum) * fast, in place (He et al. 2020, eq. 2); one pass over the memory."""
    torch._foreach_lerp_(list(slow), [tensor.detach() for tensor in fast], 1.0 - momentum)


@dataclass(frozen=True, kw_only=True)
class MoCoSettings:
    """How MoCo contrasts. momentum: of the key encoder.

    mask_same_image: earlier keys of a query's own image are no negatives of it; the reference lets them be. Where
    `logits` gets ids of studies or patients in place of those of images, keys of its own study or patient.
    bn_groups: groups that BatchNorm normalises a batch in, consecutive ones of keys and other ones of queries; 1: the
    whole batch. ema: the key encoder stays in eval mode, its BatchNorm statistics follow the query encoder's by the
    momentum, and bn_groups are of the queries alone.
    """

    queue_size: int
    momentum: float
    temperature: float
    mask_same_image: bool = True
    bn_groups: int = 1
    ema: bool = False


class MoCo(nn.Module):
    """The networks and the queue of MoCo v2. `queries` carries a gradient; `keys` and the queue never do.

    query_encoder, key_encoder: the backbone with a two-layer head in place of its linear one (`fc.0`, `fc.2` or
    `classifier.0`, `classifier.2`, the names of the reference implementation). The key encoder starts as a copy, then
    follows by momentum in its parameters; its BatchNorm statistics are its own, as in the reference, or follow as the
    parameters do (`ema`).
    """

    def __init__(self, backbone: nn.Module, architecture: str, settings: MoCoSettings, *, seed: int) -> None:
        """backbone: ends in its features [N, D] and becomes the query encoder. seed: of the head and the queue."""
        super().__init__()
        self.settings = settings
        self.query_encoder = attach_head(
            backbone,
            architecture,
            projection_head(feature_dimension(architecture), stream_seed(seed, RandomStream.PROJECTION_HEAD)),
        )
        split_batch_norm(self.query_encoder, settings.bn_groups)
        self.key_encoder = copy.deepcopy(self.query_encoder).requires_grad_(False)
        self.queue = QueueOfKeys(DIMENSION, settings.queue_size, stream_seed(seed, RandomStream.QUEUE))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of both encoders; with `ema` the key encoder is always in eval mode."""
        super().train(mode)
        if self.settings.ema:
            self.key_encoder.eval()
        return self

    def queries(self, images: Tensor) -> Tensor:
        """Images [N, 3, H, W] to unit vectors [N, 128], float32 whatever autocast does; in the images' order.

        With BatchNorm in groups, N is a multiple of them and the groups are those of the keys transposed.
        """
        if self.settings.bn_groups == 1:
            return _unit(self.query_encoder(images))
        order = transposed(len(images), self.settings.bn_groups, images.device)
        queries = _unit(self.query_encoder(images[order]))
        return (
            queries.view(self.settings.bn_groups, -1, DIMENSION).transpose(0, 1).reshape(-1, DIMENSION)
        )  # order undone

    @torch.no_grad()
    def keys(self, images: Tensor) -> Tensor:
        """Images [N, 3, H, W] to unit vectors [N, 128] by the key encoder, in the images' order; no gradient."""
        return _unit(self.key_encoder(images))

    def update_key_encoder(self) -> None:
        """Move the key encoder's parameters a step of 1 - momentum towards the query encoder's.

        With `ema` its BatchNorm statistics too.
        """
        momentum_update(self.key_encoder.parameters(), self.query_encoder.parameters(), self.settings.momentum)
        if self.settings.ema:
            slow, fast = running_statistics(self.key_encoder), running_statistics(self.query_encoder)
            momentum_update(slow, fast, self.settings.momentum)

    def logits(self, queries: Tensor, keys: Tensor, sample_ids: Tensor) -> Tensor:
        """[N, 1 + K] in float32: half precision would round similarities to a hundredth before the softmax.

        sample_ids: int64 [N], of the images that queries and keys are of, or of their studies or patients: the ids that
        the queue was given.
        """
        same_image = self.queue.of_same_image(sample_ids) if self.settings.mask_same_image else None
        with torch.autocast(queries.device.type, enabled=False):
            return info_nce_logits(queries, keys, self.queue.keys, self.settings.temperature, same_image)


def _unit(vectors: Tensor) -> Tensor:
    """Scale vectors [N, D] to unit length, in float32 whatever autocast gives; float64 stays, for comparisons."""
    return F.normalize(vectors if vectors.dtype == torch.float64 else vectors.float(), dim=1)


def projection_head(features: int, seed: int) -> nn.Sequential:
    """Build MoCo v2's head: linear, ReLU, linear; the hidden layer is as wide as the features (Chen et al. 2020)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, DIMENSION))
