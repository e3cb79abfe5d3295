"""Shuffled BatchNorm over several processes: keys are encoded on another rank than the queries of their images.

A rank has every world_size-th image of a batch (as the loaders give them), and encodes the keys of consecutive ones. So
the groups that BatchNorm normalises are those that one process would form of the whole batch (see split_batch_norm),
and a run means the same on any number of ranks. He et al. 2020, section 3.3, shuffle the order again in each step.
"""

from torch import Tensor

from training.processes.ranks import Ranks


def whole_batch(ranks: Ranks, share: Tensor) -> Tensor:
    """Gather [N, ...] in the batch's order, from each rank's part [N / world, ...]. Carries no gradient."""
    return ranks.gather(share).transpose(0, 1).flatten(0, 1)


def own_share(ranks: Ranks, whole: Tensor) -> Tensor:
    """Take every world_size-th of [N, ...]: what a loader has given this rank."""
    return whole[ranks.rank :: ranks.world_size]


def keys_to_encode(ranks: Ranks, share: Tensor) -> Tensor:
    """Exchange images between ranks, so that a rank encodes the keys of others.

    Returns those whose keys this rank encodes, [N / world, ...], from each rank's part of the batch.

    All ranks' results one after the other are the batch in its order.
    """
    if ranks.world_size == 1:
        return share
    return whole_batch(ranks, share).chunk(ranks.world_size)[ranks.rank]
