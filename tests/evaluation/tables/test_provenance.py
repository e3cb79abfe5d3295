"""Draws and pretraining seeds from sidecars, and files given twice."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluation.tables.provenance import ArmTables, Draw, draws_of
from evaluation.tables.table import Table, TableError
from tests.evaluation.files import sidecar_of


def arm(*sidecars: dict[str, Any] | None, name: str = "moco", same: bool = False) -> ArmTables:
    tables = [
        Table(Path(f"{name}{i}.csv"), "key", ("a",), pd.DataFrame(), 2, one, "0" if same else f"{name}{i}")
        for i, one in enumerate(map(sidecar_of, sidecars))
    ]
    return ArmTables(name, tuple(tables))


def model(**content: object) -> dict[str, Any]:
    return {"split": "test", "model": content}


def test_draws_and_seeds_are_those_of_the_sidecars() -> None:
    given = arm(model(draw=4, provenance={"seed": 1}), {"draw": 2, "pretraining_seed": 7}, model(draw=0))
    assert draws_of(given) == (Draw(4, 1), Draw(2, 7), Draw(0, None))


def test_a_random_start_is_seeded_by_the_model() -> None:
    given = arm(model(draw=0, initial="random", seed=3), model(draw=0, initial="imagenet", seed=3))
    assert draws_of(given) == (Draw(0, 3), Draw(0, None))


def test_without_sidecars_draws_are_numbered_in_order() -> None:
    assert draws_of(arm(None, model(draw=5), None)) == (Draw(0, None), Draw(1, None), Draw(2, None))


def test_one_draw_of_one_seed_twice_is_refused_with_both_files() -> None:
    with pytest.raises(TableError, match=r"moco0\.csv and moco1\.csv are both of draw 1 and pretraining seed 0"):
        draws_of(arm(model(draw=1, provenance={"seed": 0}), model(draw=1, provenance={"seed": 0})))


def test_one_file_twice_is_refused() -> None:
    with pytest.raises(TableError, match="hold the same bytes"):
        draws_of(arm(None, None, same=True))
