"""The independent streams of random numbers of the project: one number for each purpose, in one table."""

import enum


@enum.unique
class RandomStream(enum.Enum):
    """What a stream is used for. value: (family, number).

    A number never changes its purpose, and none occurs twice in its family: a seed would give another order, other
    views or other weights. The family is the generator: "epoch" are the hashes of `shards.loading`, with the seed and
    the epoch; "weights" are seeds of torch's generator (`training.random_streams`), with the seed of the run.
    """

    EPOCH_BLOCKS = ("epoch", 1)
    EPOCH_SAMPLES = ("epoch", 2)
    EPOCH_PHASE = ("epoch", 3)
    VIEWS = ("epoch", 4)
    EPOCH_DEALER = ("epoch", 5)
    PARTNERS = ("epoch", 6)
    PROJECTION_HEAD = ("weights", 1)
    QUEUE = ("weights", 2)
    CLASSIFIER = ("weights", 101)

    @property
    def family(self) -> str:
        """The generator that takes the number."""
        return self.value[0]

    @property
    def number(self) -> int:
        """The word by which the generator tells the stream from the others of its family."""
        return self.value[1]
