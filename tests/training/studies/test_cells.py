"""A study expands to the cells of the contract, each with a directory of its own."""

import copy
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recipes import shipped_recipes
from tests.training.studies.small_study import CONTENT, changed, write_study
from training.downstream.options import FinetuneOptions
from training.errors import StudyError
from training.studies.cells import cells_of, comparisons_of, runs_of, selected
from training.studies.records import cell_record
from training.studies.study_file import fraction_text, read_study

MOCO_CXR = shipped_recipes()["study_moco_cxr"]
OUT = Path("out")


def test_the_paper_s_study_has_272_cells_2_pretrainings_and_32_comparisons() -> None:
    study = read_study(MOCO_CXR)
    cells = cells_of(study)
    assert Counter(cell.target.dataset for cell in cells) == {"chexpert": 168, "shenzhen": 104}
    assert [run.path for run in runs_of(study)] == ["runs/resnet18-seed0", "runs/densenet121-seed0"]
    comparisons = comparisons_of(study)
    assert len(comparisons) == 32
    assert sum(len(cells) for comparison in comparisons for cells in comparison.arms.values()) == 272
    assert {tuple(comparison.arms) for comparison in comparisons} == {("imagenet", "moco")}
    assert cells[0].path == "cells/resnet18-imagenet-seed0-probe-supervised-effusion-0.001-draw0"
    assert cells[-1].path == "cells/densenet121-moco-seed0-finetune-supervised-tuberculosis-1.0-draw0"


def test_a_cell_has_the_options_of_its_method_variant_target_and_draw() -> None:
    study = read_study(MOCO_CXR)
    by_name = {cell.name: cell for cell in cells_of(study)}
    cell = by_name["resnet18-imagenet-seed0-finetune-supervised-effusion-0.01-draw3"]
    options = cell.options(study, data=Path("here"), output=OUT)
    assert isinstance(options, FinetuneOptions)
    assert options.shards == Path("here/data/chexpert")
    assert options.output == OUT / cell.path
    assert (options.backbone_from, options.at) == ("out/runs/resnet18-seed0", "start")
    assert (options.label_fraction, options.draw, options.seed) == (0.01, 3, 3)
    assert options.labels == ("Pleural Effusion",)
    assert (options.uncertain, options.missing) == ("ignore", "zeros")
    assert (options.epochs, options.min_steps, options.min_total_steps) == ("auto", 1, 0)
    assert (options.degrees, options.flip, options.schedule) == (0.0, False, "constant")


def test_a_target_s_own_keys_beat_a_variant_s_and_a_variant_s_those_of_a_method(tmp_path: Path) -> None:
    content = changed("variants", value={"two": {"labels": "all", "missing": "zeros", "uncertain": "ones", "lr": 0.5}})
    content |= {"run": ["two"]}
    content["targets"][0]["uncertain"] = "zeros"
    study = read_study(write_study(tmp_path / "study.yaml", content))
    options = [cell.options(study, data=Path(), output=OUT) for cell in cells_of(study)]
    assert {one.uncertain for one in options} == {"zeros"}
    assert {one.missing for one in options} == {"zeros"}
    assert {one.labels for one in options} == {("all",)}
    assert {one.lr for one in options if isinstance(one, FinetuneOptions)} == {0.5}


def test_a_variant_can_be_of_one_method_and_an_arm_of_one_pretraining(tmp_path: Path) -> None:
    content = changed("variants", value={"plain": {}, "tuned": {"methods": ["finetune"]}})
    content |= {"run": ["plain", "tuned"]}
    content["pretraining"]["other"] = dict(content["pretraining"]["tiny"])
    content["arms"]["file"] = {"at": "end", "pretraining": ["other"]}
    cells = cells_of(read_study(write_study(tmp_path / "study.yaml", content)))
    assert {cell.method for cell in cells if cell.variant.name == "tuned"} == {"finetune"}
    assert {cell.run.pretraining.name for cell in cells if cell.arm.name == "file"} == {"other"}


@pytest.mark.parametrize(("init", "varies"), [("random", True), ("imagenet", False), ("start.safetensors", False)])
def test_weights_that_are_the_same_for_every_seed_have_cells_of_the_first_seed_alone(
    tmp_path: Path, init: str, varies: bool
) -> None:
    content = changed("pretraining", "tiny", "seeds", value=[5, 3])
    content["pretraining"]["tiny"] |= {"init": init}
    content["arms"] |= {"other": {"backbone_from": "other.safetensors", "seen_patients": "none"}}
    study = read_study(write_study(tmp_path / "study.yaml", content))
    seeds = {arm: {cell.run.seed for cell in cells_of(study) if cell.arm.name == arm} for arm in content["arms"]}
    assert seeds == {"start": {5, 3} if varies else {5}, "moco": {5, 3}, "other": {5}}
    assert all(len(comparison.arms) == 3 for comparison in comparisons_of(study))


def test_a_target_can_be_of_one_pretraining(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    content["pretraining"]["other"] = dict(content["pretraining"]["tiny"])
    content["targets"].append({**content["targets"][0], "name": "more", "pretraining": ["other"]})
    cells = cells_of(read_study(write_study(tmp_path / "study.yaml", content)))
    assert {cell.run.pretraining.name for cell in cells if cell.target.name == "edema"} == {"tiny", "other"}
    assert {cell.run.pretraining.name for cell in cells if cell.target.name == "more"} == {"other"}


def test_a_target_can_be_of_one_method(tmp_path: Path) -> None:
    content = changed("targets", 0, "methods", value=["probe"])
    cells = cells_of(read_study(write_study(tmp_path / "study.yaml", content)))
    assert {cell.method for cell in cells} == {"probe"}


def test_two_cells_of_one_directory_are_refused(tmp_path: Path) -> None:
    content = changed("arms", value={"a": {"at": "start"}, "a-seed0": {"at": "end"}})
    content |= {"reference": "a", "arms": {"a": {"at": "start"}, "a-a": {"at": "end"}}}
    content["pretraining"] = {name: dict(content["pretraining"]["tiny"]) for name in ("x", "x-a")}
    study = read_study(write_study(tmp_path / "study.yaml", content))
    with pytest.raises(StudyError, match="two cells would be cells/x-a-a-seed0"):
        cells_of(study)


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """Small studies of any numbers of seeds, arms, variants, targets, fractions and draws."""
    fractions = st.lists(st.sampled_from([0.00001, 0.001, 0.0625, 0.3, 1.0]), min_size=1, max_size=4, unique=True)
    targets = []
    for number in range(draw(st.integers(1, 3))):
        of_target = draw(fractions)
        draws: Any = draw(st.integers(1, 4))
        if draw(st.booleans()):
            draws = {fraction: draw(st.integers(1, 4)) for fraction in of_target if fraction != 1.0}
        targets.append(
            {"name": f"t{number}", "dataset": "labelled", "labels": ["Edema"], "fractions": of_target, "draws": draws}
        )
    content = changed("targets", value=targets)
    content["pretraining"]["tiny"]["seeds"] = draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
    content["arms"] = {f"a{number}": {"at": "end"} for number in range(draw(st.integers(1, 3)))}
    content["reference"] = "a0"
    content["variants"] = {f"v{number}": {} for number in range(draw(st.integers(1, 3)))}
    content["run"] = list(content["variants"])[: draw(st.integers(1, len(content["variants"])))]
    return content


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=contents())
def test_the_expansion_counts_what_nested_loops_count(tmp_path: Path, content: dict[str, Any]) -> None:
    study = read_study(write_study(tmp_path / "study.yaml", content))
    cells = cells_of(study)
    models = 0
    for target in content["targets"]:
        for fraction in target["fractions"]:
            draws = target["draws"]
            models += 1 if fraction == 1.0 else draws[fraction] if isinstance(draws, dict) else draws
    factor = len(content["pretraining"]["tiny"]["seeds"]) * len(content["arms"]) * 2 * len(content["run"])
    assert len(cells) == models * factor
    assert len({cell.path for cell in cells}) == len(cells)
    assert all(re.fullmatch(r"cells/[a-z0-9_.-]+", cell.path) for cell in cells)
    assert all(cell.draw == 0 for cell in cells if cell.fraction == 1.0)
    assert len({cell.options(study, data=Path(), output=OUT) for cell in cells}) == len(cells)
    compared = [cell for comparison in comparisons_of(study) for arm in comparison.arms.values() for cell in arm]
    assert sorted(cell.path for cell in compared) == sorted(c.path for c in cells if len(content["arms"]) > 1)
    for comparison in comparisons_of(study):
        alike = {tuple((c.run.seed, c.draw) for c in arm) for arm in comparison.arms.values()}
        assert len(alike) == 1, "arms are compared on the same seeds and draws"


def test_fractions_are_written_without_an_exponent() -> None:
    assert [fraction_text(f) for f in (1e-05, 0.0625, 1.0, 0.1)] == ["0.00001", "0.0625", "1.0", "0.1"]


def test_a_pattern_fits_a_path_or_its_last_part() -> None:
    assert selected("runs/*", "runs/a-seed0")
    assert selected("a-*", "runs/a-seed0")
    assert not selected("runs/*", "cells/a")
    assert selected(None, "cells/a")


def sweep(*words: object) -> subprocess.CompletedProcess[str]:
    """`cxr-train sweep` in a process that must not load torch."""
    program = (
        "import sys\nfrom training.cli.main import main\n"
        "try:\n    main()\nfinally:\n    assert not {'torch', 'nvidia.dali', 'sklearn'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, "sweep", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_list_has_a_line_a_cell_with_its_path_and_needs_no_shards_and_no_torch(tmp_path: Path) -> None:
    done = sweep("study_moco_cxr", "--output", tmp_path / "out", "--list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 + 272
    assert lines[0] == f"{tmp_path}/out/runs/resnet18-seed0"
    assert lines[2] == f"{tmp_path}/out/cells/resnet18-imagenet-seed0-probe-supervised-effusion-0.001-draw0"
    assert not (tmp_path / "out").exists()


def test_only_selects_cells_and_the_runs_that_they_need() -> None:
    done = sweep(MOCO_CXR, "--output", "out", "--list", "--only", "resnet18-*-probe-*tuberculosis-1.0-*")
    assert done.stdout.splitlines() == [
        "out/runs/resnet18-seed0",
        "out/cells/resnet18-imagenet-seed0-probe-supervised-tuberculosis-1.0-draw0",
        "out/cells/resnet18-moco-seed0-probe-supervised-tuberculosis-1.0-draw0",
    ]
    assert sweep(MOCO_CXR, "--output", "out", "--list", "--only", "runs/*").stdout.splitlines() == [
        "out/runs/resnet18-seed0",
        "out/runs/densenet121-seed0",
    ]
    nothing = sweep(MOCO_CXR, "--output", "out", "--list", "--only", "alexnet*")
    assert nothing.returncode == 1
    assert "no run and no cell fits --only 'alexnet*'" in nothing.stderr


@pytest.mark.parametrize(("name", "cells"), [("study_demo", 64), ("study_radiographs", 894)])
def test_the_small_shipped_studies_are_read_and_each_cell_has_options(name: str, cells: int) -> None:
    study = read_study(shipped_recipes()[name])
    found = cells_of(study)
    assert len(found) == cells
    assert all(cell.options(study, data=Path(), output=OUT).shards for cell in found)
    assert all(set(study.references) < set(comparison.arms) for comparison in comparisons_of(study))


FIRST_RECORD: dict[str, Any] = {
    "format_version": 1,
    "run": "runs/tiny-seed0",
    "pretraining": "db39b9b629f681c7576b3deaa2edd9002acff8acbab859704475cc7643bab2bc",
    "arm": {"name": "start", "at": "start", "backbone_from": None},
    "method": "finetune",
    "variant": "plain",
    "target": "edema",
    "dataset": "labelled",
    "options": {
        **{"at": "start", "seed": 0, "labels": ["Edema"], "label_fraction": 0.5, "fraction_of": "patients", "draw": 0},
        **{"uncertain": "ignore", "missing": "ignore", "epochs": 2, "batch_size": 8, "lr": 0.001, "optimizer": "adam"},
        **{"weight_decay": 0.0, "schedule": "cosine", "min_steps": 3, "min_total_steps": 400, "select_by": []},
        **{"precision": "fp32", "degrees": 10.0, "flip": True, "scale": [1.0, 1.0], "translate": 0.0},
    },
}
"""cell.json of a fine-tuning as the first release with studies wrote it."""


def test_a_cell_of_the_first_release_is_still_the_same_cell(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path / "study.yaml"))
    (cell,) = (one for one in cells_of(study) if one.name == "tiny-start-seed0-finetune-plain-edema-0.5-draw0")
    assert cell_record(study, cell).as_json().value == FIRST_RECORD
    content = changed("methods", "finetune", "gain", value=[0.5, 2.0])
    other = read_study(write_study(tmp_path / "other.yaml", content))
    (cell,) = (one for one in cells_of(other) if one.name == cell.name)
    assert cell_record(other, cell).as_json().value["options"] == FIRST_RECORD["options"] | {"gain": [0.5, 2.0]}
