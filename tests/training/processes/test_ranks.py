"""What the processes of a run do together, in real processes over gloo."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from shards.errors import CxrError
from tests.training.rank_processes import on_ranks
from training.errors import RunError, TrainingError
from training.moco.key_exchange import keys_to_encode, own_share, whole_batch
from training.processes.ranks import Ranks, joined

WORLD = 3


def own_tensors(rank: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    layouts = torch.contiguous_format, torch.channels_last
    drawn = [torch.randn(4, 3, 5, 2, generator=generator).contiguous(memory_format=layout) for layout in layouts]
    return [*drawn, torch.randn((), generator=generator), torch.randn(7, generator=generator)]


def error_of(ranks: Ranks, own: CxrError | None) -> str:
    """What this rank ends with when it fails so and the others as they do."""
    try:
        with ranks.together():
            if own is not None:
                raise own
    except (CxrError, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    return "goes on"


def do_all(folder: Path) -> None:
    with joined("cpu") as ranks:
        rank = ranks.rank
        averaged = own_tensors(rank)
        ranks.average(averaged)
        share = torch.arange(12).view(12, 1)[rank::WORLD]
        found: dict[str, Any] = {
            "rank": [rank, ranks.world_size, ranks.leads],
            "gathered": ranks.gather(torch.tensor([rank, rank * 10])).tolist(),
            "whole": whole_batch(ranks, share).ravel().tolist(),
            "keys": keys_to_encode(ranks, share).ravel().tolist(),
            "back": own_share(ranks, ranks.gather(keys_to_encode(ranks, share)).flatten(0, 1)).tolist()
            == share.tolist(),
            "any": [ranks.any(False), ranks.any(rank == 2)],
            "shared": ranks.share(f"from {rank}"),
            "of leader": ranks.of_leader(lambda: f"work of {rank}"),
            "no error": error_of(ranks, None),
            "the leader's": error_of(ranks, TrainingError("no room") if rank == 0 else None),
            "of all": error_of(ranks, TrainingError("no such folder")),
            "of two": error_of(ranks, TrainingError(f"bad {rank}") if rank else None),
        }
        ranks.agree({"torch": torch.__version__, "steps": 12})
        try:
            ranks.agree({"torch": torch.__version__, "steps": 12 if rank < 2 else 11})
        except (RunError, SystemExit) as error:
            found["disagreed"] = f"{type(error).__name__}: {error}"
        torch.save(averaged, folder / f"averaged-{rank}.pt")
        (folder / f"found-{rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """What each of three processes saw."""
    folder = tmp_path_factory.mktemp("ranks")
    assert on_ranks(WORLD, do_all, folder) == [""] * WORLD
    return [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(WORLD)], folder


def test_all_see_the_same_and_each_its_own(found: tuple[list[dict[str, Any]], Path]) -> None:
    for rank, seen in enumerate(found[0]):
        assert seen["rank"] == [rank, WORLD, rank == 0]
        assert seen["gathered"] == [[0, 0], [1, 10], [2, 20]]
        assert seen["any"] == [False, True]
        assert seen["shared"] == ["from 0", "from 1", "from 2"]
        assert seen["of leader"] == "work of 0"


def test_a_batch_is_put_together_in_its_order_and_keys_of_consecutive_images_are_encoded(
    found: tuple[list[dict[str, Any]], Path],
) -> None:
    for rank, seen in enumerate(found[0]):
        assert seen["whole"] == list(range(12))
        assert seen["keys"] == list(range(rank * 4, rank * 4 + 4))
        assert seen["back"]


def test_an_average_is_the_mean_over_the_ranks_and_the_same_bits_on_all(
    found: tuple[list[dict[str, Any]], Path],
) -> None:
    averaged = [torch.load(found[1] / f"averaged-{rank}.pt", weights_only=True) for rank in range(WORLD)]
    for ours, *parts in zip(averaged[0], *map(own_tensors, range(WORLD)), strict=True):
        torch.testing.assert_close(ours, torch.stack(parts).mean(dim=0))
    for others in averaged[1:]:
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(averaged[0], others, strict=True))


def test_what_one_cannot_do_none_goes_on_after_and_the_first_one_says_why(
    found: tuple[list[dict[str, Any]], Path],
) -> None:
    first, *others = found[0]
    assert first["no error"] == "goes on"
    assert first["the leader's"] == "TrainingError: no room"
    assert first["of all"] == "TrainingError: no such folder"
    assert first["of two"] == "RunError: process 1 of 3: bad 1 process 2 of 3: bad 2"
    assert first["disagreed"] == (
        "RunError: The 3 processes of this run do not have the same steps: 12 in 0, 1; 11 in 2."
    )
    for seen in others:
        assert seen["no error"] == "goes on"
        assert {seen[name] for name in ("the leader's", "of all", "of two", "disagreed")} == {"SystemExit: 1"}


def lose_one(folder: Path) -> None:
    with joined("cpu") as ranks:
        if ranks.rank == 1:
            os._exit(9)
        ranks.average([torch.ones(1000)])


def test_a_rank_that_is_gone_ends_the_others_with_a_sentence(tmp_path: Path) -> None:
    said = on_ranks(2, lose_one, tmp_path)[0]
    assert "RunError: Another process of this run has ended, and this one ends with it" in said


def test_one_process_needs_nobody() -> None:
    ranks = Ranks.alone()
    tensors = [torch.tensor([1.0, 2.0])]
    ranks.average(tensors)
    assert tensors[0].tolist() == [1.0, 2.0]
    assert ranks.gather(tensors[0]).tolist() == [[1.0, 2.0]]
    assert ranks.any(True)
    assert not ranks.any(False)
    assert ranks.share("own") == ["own"]
    with pytest.raises(TrainingError, match=r"^x$"), ranks.signing():
        raise TrainingError("x")
    with pytest.raises(TrainingError, match="no room"), ranks.together():
        raise TrainingError("no room")
    ranks.agree({"steps": 1})
