"""Describe where a loader runs and which part of each batch it delivers. Loads neither torch nor DALI."""

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Placement:
    """Device and threads of a loader.

    device_id: index of the GPU, with device="gpu". threads: DALI's threads on the CPU.
    """

    device: Device = "cpu"
    device_id: int | None = None
    threads: int = 2

    @property
    def gpu(self) -> int | None:
        """Index of the GPU, as DALI takes it: None on a CPU."""
        return self.device_id if self.device == "gpu" else None


@dataclass(frozen=True)
class Partition:
    """The part of the data that one process of several reads: every world_size-th sample, from `rank` on."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError for a rank that is not one of the world's."""
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} of {self.world_size}")


ON_CPU = Placement()
WHOLE = Partition()
"""The defaults: the CPU, with two threads; all of the data."""
