from dataclasses import replace
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.options import PretrainOptions
from training.plan_checks import refuse_long_queue

OPTIONS = PretrainOptions(shards=(), output=Path("unused"))


@pytest.mark.parametrize(("queue_size", "samples"), [(1, 2), (3, 6), (3, 7), (24576, 223_414)])
def test_a_queue_of_half_the_images_or_fewer_is_taken(queue_size: int, samples: int) -> None:
    refuse_long_queue(replace(OPTIONS, queue_size=queue_size), samples)
    with pytest.raises(TrainingError, match=f"more than half of the {samples} images"):
        refuse_long_queue(replace(OPTIONS, queue_size=samples // 2 + 1), samples)


def test_a_long_queue_is_taken_where_it_is_forced() -> None:
    refuse_long_queue(replace(OPTIONS, queue_size=99, force_queue=True), 10)
