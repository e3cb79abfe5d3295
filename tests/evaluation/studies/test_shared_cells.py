"""Which cells a comparison of an unfinished study is made of: a whole grid of draws and seeds, alike for all arms."""

from typing import Any

import pytest

from evaluation.studies.shared_cells import shared_cells
from tests.training.studies.small_study import changed, write_study
from training.studies.cells import Cell, cells_of
from training.studies.study_file import Study, read_study

Pairs = set[tuple[int, int]]
ALL = {(draw, seed) for draw in range(3) for seed in range(3)}


@pytest.fixture(scope="module", params=["random", "file"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three seeds and three draws; a start of random weights is another one for each seed, one of a file is not."""
    folder = tmp_path_factory.mktemp("grid")
    content: dict[str, Any] = changed("pretraining", "tiny", "seeds", value=[0, 1, 2])
    if request.param == "file":
        content["pretraining"]["tiny"] |= {"init": "start.safetensors", "seen_patients": "none"}
    content["targets"][0] |= {"fractions": [0.5], "draws": 3}
    return read_study(write_study(folder / "study.yaml", content))


def without(study: Study, *lacking: tuple[str, int, int]) -> dict[str, list[Cell]]:
    """The probe's cells of each arm, without (arm, draw, seed)."""
    found: dict[str, list[Cell]] = {"start": [], "moco": []}
    for cell in cells_of(study):
        if cell.method == "probe" and (cell.arm.name, cell.draw, cell.run.seed) not in lacking:
            found[cell.arm.name].append(cell)
    return found


def chosen(study: Study, *lacking: tuple[str, int, int]) -> Pairs:
    """(draw, seed) of the arm moco; the start has the same draws, and the same seeds or the first one alone."""
    found = shared_cells(study, without(study, *lacking))
    pairs = {arm: {(cell.draw, cell.run.seed) for cell in cells} for arm, cells in found.items()}
    if not pairs:
        return set()
    from_file = len(without(study)["start"]) == 3
    assert pairs["start"] == ({(draw, 0) for draw, _ in pairs["moco"]} if from_file else pairs["moco"])
    return pairs["moco"]


def test_a_finished_study_is_judged_by_all_draws_and_seeds(study: Study) -> None:
    assert chosen(study) == ALL


def test_a_draw_that_one_seed_lacks_is_left_out_of_all(study: Study) -> None:
    assert chosen(study, ("moco", 1, 2)) == {pair for pair in ALL if pair[0] != 1}
    assert chosen(study, ("start", 1, 0)) == {pair for pair in ALL if pair[0] != 1}


def test_a_seed_that_has_just_begun_is_left_out_rather_than_the_draws_of_the_others(study: Study) -> None:
    begun = [("moco", draw, 2) for draw in (1, 2)]
    assert chosen(study, *begun) == {pair for pair in ALL if pair[1] != 2}


def test_arms_that_share_no_draw_are_not_compared(study: Study) -> None:
    assert chosen(study, ("moco", 0, 0), ("moco", 0, 1), ("moco", 0, 2), *(("start", draw, seed) for draw in (1, 2)
                                                                           for seed in range(3))) == set()  # fmt: skip
