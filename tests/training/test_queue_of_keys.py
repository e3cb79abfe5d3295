import torch
from hypothesis import given
from hypothesis import strategies as st

from training.queue_of_keys import QueueOfKeys


@given(size=st.integers(1, 23), batches=st.lists(st.integers(1, 40), max_size=6), seed=st.integers(0, 2**31))
def test_enqueueing_equals_replacing_one_column_after_another(size: int, batches: list[int], seed: int) -> None:
    queue = QueueOfKeys(5, size, seed)
    columns, pointer = [column.clone() for column in queue.keys.T], 0
    generator = torch.Generator().manual_seed(seed)
    for count in batches:
        keys = torch.randn(count, 5, generator=generator)
        queue.enqueue(keys)
        for key in keys:
            columns[pointer] = key
            pointer = (pointer + 1) % size
    assert torch.equal(queue.keys, torch.stack(columns, dim=1))
    assert int(queue.pointer) == pointer


def test_a_new_queue_holds_different_random_unit_vectors() -> None:
    queue = QueueOfKeys(128, 300, seed=1)
    torch.testing.assert_close(queue.keys.norm(dim=0), torch.ones(300))
    similarities = queue.keys.T @ queue.keys - torch.eye(300)
    assert similarities.abs().max() < 0.5
    assert not torch.equal(queue.keys, QueueOfKeys(128, 300, seed=2).keys)


def test_keys_and_pointer_are_buffers_without_a_gradient() -> None:
    queue = QueueOfKeys(4, 6, seed=0)
    queue.enqueue(torch.randn(4, 4, requires_grad=True))
    assert sorted(queue.state_dict()) == ["keys", "pointer"]
    assert not queue.keys.requires_grad
    restored = QueueOfKeys(4, 6, seed=9)
    restored.load_state_dict(queue.state_dict())
    assert torch.equal(restored.keys, queue.keys)
    assert int(restored.pointer) == 4
