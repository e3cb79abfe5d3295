"""How long a fine-tuning trains: the published epochs, the least steps, at most 50 validations."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.downstream.options import FinetuneOptions
from training.downstream.training_length import MOST_VALIDATIONS, published_epochs, training_length

OPTIONS = FinetuneOptions(shards=Path("s"), backbone_from="random", labels=("Edema",), output=Path("o"))


@pytest.mark.parametrize(("fraction", "epochs"), [(0.001, 500), (0.01, 107), (0.1, 23), (0.5, 7), (1.0, 5)])
def test_the_epochs_of_a_fraction_are_the_published_ones(fraction: float, epochs: int) -> None:
    assert published_epochs(fraction) == epochs
    assert training_length(replace(OPTIONS, label_fraction=fraction), 10**6).epochs == epochs


@given(
    st.floats(0.0005, 1, exclude_min=True),
    st.integers(0, 3000),
    st.integers(1, 200),
    st.integers(1, 5000),
    st.one_of(st.just("auto"), st.integers(1, 400)),
)
def test_a_run_has_its_least_steps_an_epoch_and_in_all_and_no_epoch_more(
    fraction: float, batches: int, min_steps: int, min_total_steps: int, epochs: int | Literal["auto"]
) -> None:
    options = replace(
        OPTIONS, label_fraction=fraction, min_steps=min_steps, min_total_steps=min_total_steps, epochs=epochs
    )
    length = training_length(options, batches)
    assert length.steps_per_epoch == max(batches, min_steps)
    if epochs == "auto":
        enough = [n for n in (length.epochs - 1, length.epochs) if n >= published_epochs(fraction)]
        assert [n for n in enough if n * length.steps_per_epoch >= min_total_steps] == [length.epochs]
    else:
        assert length.epochs == epochs


@given(st.integers(1, 2000))
def test_a_run_is_validated_at_most_fifty_times_and_at_its_end(epochs: int) -> None:
    length = training_length(replace(OPTIONS, epochs=epochs), 30)
    validated = [epoch for epoch in range(1, epochs + 1) if length.is_validated(epoch)]
    assert len(validated) <= MOST_VALIDATIONS == 50
    assert validated[-1] == epochs
    if epochs <= MOST_VALIDATIONS:
        assert len(validated) == epochs
    assert max(later - before for before, later in zip([0, *validated], validated, strict=False)) <= -(-epochs // 50)
