"""Options of a run of a few steps: what the tests of pretraining begin with."""

from pathlib import Path

from training.pretraining.options import PretrainOptions


def options_of(shards: Path, output: Path) -> PretrainOptions:
    """Two epochs of six steps; a window of metrics is four, so that it crosses the epochs' boundary.

    One thread: two wait for each other at every layer when the machine has other work.
    """
    return PretrainOptions(
        shards=(shards,),
        output=output,
        init="random",
        image_size=32,
        batch_size=8,
        epochs=2,
        lr=1e-3,
        queue_size=20,
        momentum=0.9,
        milestones=(1,),
        device="cpu",
        threads=1,
        log_every=4,
    )
