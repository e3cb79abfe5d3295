"""study.yaml of a study's folder has the value of every option, and is a study file of the same runs and cells."""

from pathlib import Path

import pytest
import yaml

from recipes import shipped_recipes
from tests.training.studies.small_study import changed, write_study
from training.studies.cells import cells_of, runs_of
from training.studies.records import cell_record
from training.studies.records import write_study as write_resolved
from training.studies.study_file import Study, read_study

STUDIES = sorted(name for name in shipped_recipes() if name.startswith("study_"))


def written(study: Study, folder: Path) -> Study:
    write_resolved(study, folder)
    return read_study(folder / "study.yaml")


def assert_same(one: Study, other: Study) -> None:
    plans = [
        [run.options(study, data=Path("data"), output=Path("out")) for run in runs_of(study)] for study in (one, other)
    ]
    assert plans[0] == plans[1]
    assert [cell_record(one, cell) for cell in cells_of(one)] == [cell_record(other, cell) for cell in cells_of(other)]
    assert (one.datasets, one.arms, one.references, one.run) == (
        other.datasets,
        other.arms,
        other.references,
        other.run,
    )
    assert (one.evaluation, one.rates, one.seed, one.name) == (other.evaluation, other.rates, other.seed, other.name)


@pytest.mark.parametrize("name", STUDIES)
def test_a_shipped_study_resolves_to_one_of_the_same_runs_and_cells_and_stays_as_it_is_then(
    name: str, tmp_path: Path
) -> None:
    study = read_study(shipped_recipes()[name])
    again = written(study, tmp_path / "one")
    assert_same(study, again)
    written(again, tmp_path / "two")
    lines = [(tmp_path / folder / "study.yaml").read_text().splitlines() for folder in ("one", "two")]
    assert lines[0][1:] == lines[1][1:]


def test_every_option_has_its_value_that_of_the_recipe_or_the_default(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "own.yaml").write_text("momentum: 0.95\nlr: 0.5\n")
    content = changed("pretraining", "tiny", "recipe", value="recipes/own.yaml")
    content |= {"rates": {"finetune": {"resnet18": 250.0}}}
    study = read_study(write_study(tmp_path / "study.yaml", content))
    again = written(study, tmp_path / "out")
    assert_same(study, again)
    plain = yaml.safe_load((tmp_path / "out" / "study.yaml").read_text())
    tiny = plain["pretraining"]["tiny"]
    assert (tiny["momentum"], tiny["lr"], tiny["image_size"], tiny["temperature"]) == (0.95, 0.5, 32, 0.2)
    assert plain["methods"]["finetune"]["optimizer"] == "adam"
    assert plain["targets"][0]["draws"] == {0.5: 2, 1.0: 1}
    assert plain["rates"] == {"finetune": {"resnet18": 250.0}}
    assert (tmp_path / "out" / "recipes" / "own.yaml").read_text() == "momentum: 0.95\nlr: 0.5\n"
