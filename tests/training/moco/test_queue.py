import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shards.loading.epoch_order import epoch_windows
from training.moco.queue import NO_SAMPLE, QueueOfKeys


@given(size=st.integers(1, 23), batches=st.lists(st.integers(1, 40), max_size=6), seed=st.integers(0, 2**31))
def test_enqueueing_equals_replacing_one_column_after_another(size: int, batches: list[int], seed: int) -> None:
    queue = QueueOfKeys(5, size, seed)
    columns, samples, pointer = [column.clone() for column in queue.keys.T], [-1] * size, 0
    generator = torch.Generator().manual_seed(seed)
    for count in batches:
        keys = torch.randn(count, 5, generator=generator)
        sample_ids = torch.randint(0, 2**62, (count,), generator=generator)
        queue.enqueue(keys, sample_ids)
        for key, sample_id in zip(keys, sample_ids.tolist(), strict=True):
            columns[pointer], samples[pointer] = key, sample_id
            pointer = (pointer + 1) % size
    assert torch.equal(queue.keys, torch.stack(columns, dim=1))
    assert queue.sample_ids.tolist() == samples
    assert int(queue.pointer) == pointer


@given(size=st.integers(1, 9), batches=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), max_size=4))
def test_keys_of_the_same_image_are_found_by_looking_at_each(size: int, batches: list[list[int]]) -> None:
    queue, asked = QueueOfKeys(2, size, 0), [3, 0, 2**62]
    for samples in batches:
        queue.enqueue(torch.ones(len(samples), 2), torch.tensor(samples))
    newest = [sample for samples in batches for sample in samples][-size:]
    found = queue.of_same_image(torch.tensor(asked))
    assert found.shape == (3, size)
    assert found.sum(dim=1).tolist() == [newest.count(sample) for sample in asked]
    assert all(queue.sample_ids[found[row]].eq(sample).all() for row, sample in enumerate(asked))


@pytest.mark.parametrize(("size", "share"), [(250, 1 / 32), (500, 1 / 8), (1000, 1 / 2)])
def test_of_a_queue_over_part_of_an_epoch_half_the_square_of_the_part_meets_its_own_image(
    size: int, share: float
) -> None:
    queue, epochs, batch = QueueOfKeys(1, size, 0), 20, 10
    met = 0
    for epoch in range(epochs):
        for places in np.concatenate(epoch_windows(1000, 0, epoch)).reshape(-1, batch):
            sample_ids = torch.from_numpy(places.astype(np.int64))
            met += int(queue.of_same_image(sample_ids).any(dim=1).sum())
            queue.enqueue(torch.ones(batch, 1), sample_ids)
    assert met / (1000 * (epochs - 1)) == pytest.approx(share, rel=0.1)  # none in the first epoch


def test_a_new_queue_holds_different_random_unit_vectors_of_no_image() -> None:
    queue = QueueOfKeys(128, 300, seed=1)
    torch.testing.assert_close(queue.keys.norm(dim=0), torch.ones(300))
    similarities = queue.keys.T @ queue.keys - torch.eye(300)
    assert similarities.abs().max() < 0.5
    assert not torch.equal(queue.keys, QueueOfKeys(128, 300, seed=2).keys)
    assert set(queue.sample_ids.tolist()) == {NO_SAMPLE}


def test_keys_samples_and_pointer_are_buffers_without_a_gradient() -> None:
    queue = QueueOfKeys(4, 6, seed=0)
    queue.enqueue(torch.randn(4, 4, requires_grad=True), torch.arange(4))
    assert sorted(queue.state_dict()) == ["keys", "pointer", "sample_ids"]
    assert not queue.keys.requires_grad
    restored = QueueOfKeys(4, 6, seed=9)
    restored.load_state_dict(queue.state_dict())
    assert torch.equal(restored.keys, queue.keys)
    assert restored.sample_ids.tolist() == [0, 1, 2, 3, -1, -1]
    assert int(restored.pointer) == 4
