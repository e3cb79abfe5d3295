import hashlib
import json
from pathlib import Path

import pytest

from shards.durable import json_bytes
from tests.training.studies.small_study import changed, write_study
from training.studies.cells import Cell, cells_of
from training.studies.records import (
    CHANGED,
    FINISHED,
    MISSING,
    cell_record,
    cell_state,
    write_done,
    write_failed,
    write_planned,
)
from training.studies.study_file import Study, read_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return read_study(write_study(tmp_path / "study.yaml"))


@pytest.fixture
def cell(study: Study) -> Cell:
    return next(cell for cell in cells_of(study) if cell.method == "finetune")


def test_the_records_of_a_study_are_those_of_the_first_release(study: Study) -> None:
    """An option of a later release is in a record only where it differs from what was done before there was one.

    So what was trained stays done. The digest was computed by the code before there were such options.
    """
    found = hashlib.sha256()
    for cell in cells_of(study):
        found.update(json_bytes(cell_record(study, cell).as_json().value))
    assert found.hexdigest() == "bd0603ca1fc96bbf0a6c04a8547eb55ac7ea53b0e9c46f617dc2acb6bfd967b2"


def test_a_later_option_that_is_used_is_recorded(tmp_path: Path) -> None:
    with_gain = {"epochs": 2, "min_steps": 3, "batch_size": 8, "lr": 1e-3, "gain": [0.8, 1.2]}
    study = read_study(write_study(tmp_path / "gain.yaml", changed("methods", "finetune", value=with_gain)))
    cell = next(cell for cell in cells_of(study) if cell.method == "finetune")
    assert cell_record(study, cell).as_json().value["options"]["gain"] == [0.8, 1.2]


def test_a_cell_is_finished_when_its_done_record_is_of_its_options(tmp_path: Path, study: Study, cell: Cell) -> None:
    folder, record = tmp_path / "cell", cell_record(study, cell)
    assert cell_state(folder, record).state == MISSING
    write_planned(folder, record)
    assert cell_state(folder, record).state == MISSING
    write_failed(folder, "no disk")
    assert cell_state(folder, record).error == "no disk"
    write_done(folder, record, 2.5)
    assert (cell_state(folder, record).state, cell_state(folder, record).seconds) == (FINISHED, 2.5)
    assert json.loads((folder / "cell.json").read_bytes()) == record.as_json().value


def test_a_cell_made_with_other_options_is_named_with_what_differs(tmp_path: Path, study: Study, cell: Cell) -> None:
    folder, record = tmp_path / "cell", cell_record(study, cell)
    write_planned(folder, record)
    write_done(folder, record, 1.0)
    content = json.loads((folder / "cell.json").read_bytes())
    content["options"]["lr"] = 0.5
    (folder / "cell.json").write_bytes(json_bytes(content))
    state = cell_state(folder, record)
    assert (state.state, dict(state.differing)) == (CHANGED, {"lr": (0.5, 1e-3)})


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"3"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, study: Study, cell: Cell, content: bytes) -> None:
    folder, record = tmp_path / "cell", cell_record(study, cell)
    write_planned(folder, record)
    (folder / "done.json").write_bytes(content)
    assert cell_state(folder, record).state == MISSING
    (folder / "cell.json").write_bytes(content)
    assert cell_state(folder, record).state == MISSING
