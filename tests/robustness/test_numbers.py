"""Numbers that no option means: each command refuses them as a usage error, by the option's name."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from tests.robustness.commands import CPU, PRETRAINING, refused, run_train
from tests.training.studies.small_study import changed, write_study
from training.cli.main import main as cxr_train
from training.errors import StudyError
from training.studies.study_file import read_study

PROGRAMS = {"cxr-ingest": cxr_ingest, "cxr-train": cxr_train, "cxr-eval": cxr_eval}
HUGE = str(2**70)
NO_NUMBERS = ("inf", "-inf", "nan", "1e999")


def options(*kinds: str) -> Iterator[tuple[str, click.Option]]:
    """Every option whose value is a number of these kinds, with the name of its command."""
    for program, group in PROGRAMS.items():
        for name, command in group.commands.items():
            for parameter in command.params:
                types = getattr(parameter.type, "types", [parameter.type])
                if isinstance(parameter, click.Option) and any(_kind(one) in kinds for one in types):
                    yield f"{program} {name} {parameter.opts[0]}", parameter


def _kind(one: click.ParamType[object]) -> str:
    if isinstance(one, click.types.IntParamType):
        return "whole"
    return "number" if isinstance(one, click.types.FloatParamType) else type(one).__name__


WHOLE = dict(options("whole", "Epochs", "ShortSide"))
NUMBERS = dict(options("number"))


def test_there_are_options_of_all_three_programs() -> None:
    for found in (WHOLE, NUMBERS):
        assert {name.split()[0] for name in found} == set(PROGRAMS)
    assert len(WHOLE) > 40
    assert len(NUMBERS) > 25
    assert {name.rpartition(" ")[2] for name in WHOLE} >= {"--seed", "--threads", "--epochs", "--batch-size"}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_of_more_than_64_bits_is_refused(name: str) -> None:
    option = WHOLE[name]
    context = click.Context(click.Command("command"))
    value = (HUGE,) if option.multiple else HUGE
    with pytest.raises(click.BadParameter):
        option.type_cast_value(context, value)


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_finite_number_is_refused(name: str, value: str) -> None:
    option = NUMBERS[name]
    context = click.Context(click.Command("command"))
    given: object = (value,) * option.nargs if option.nargs > 1 else value
    with pytest.raises(click.BadParameter):
        option.type_cast_value(context, (given,) if option.multiple else given)


@pytest.mark.parametrize(
    "words",
    [
        *(("--seed", HUGE), ("--temperature", "inf"), ("--temperature", "nan"), ("--lr", "inf"), ("--epochs", HUGE)),
        *(("--milestones", f"1,{HUGE}"), ("--threads", 10**6), ("--queue-size", 2**40), ("--image-size", 10**6)),
    ],
)
def test_pretraining_says_which_option_it_is(words: tuple[object, ...], labelled_root: Path, tmp_path: Path) -> None:
    result = run_train(
        *(
            "pretrain",
            "--shards",
            labelled_root,
            "--output",
            tmp_path / "run",
            *PRETRAINING,
            "--epochs",
            1,
            *CPU,
            *words,
        )
    )
    refused(result, str(words[0]))
    assert result.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_a_recipe_is_held_to_the_same(labelled_root: Path, tmp_path: Path) -> None:
    for line in (f"seed: {HUGE}", "temperature: .inf", "temperature: .nan", f"epochs: {HUGE}", f"threads: {HUGE}"):
        (tmp_path / "recipe.yaml").write_text(line + "\n")
        words = ("pretrain", "--config", tmp_path / "recipe.yaml", "--shards", labelled_root)
        refused(run_train(*words, "--output", tmp_path / "run"), line.partition(":")[0])


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("seed",), 2**70),
        (("evaluation", "statistics_seed"), 2**70),
        (("evaluation", "replicates"), 2**70),
        (("evaluation", "level"), float("nan")),
        (("pretraining", "tiny", "seeds", 0), 2**70),
        (("pretraining", "tiny", "epochs"), 2**70),
        (("pretraining", "tiny", "temperature"), float("inf")),
        (("methods", "finetune", "lr"), float("inf")),
        (("targets", 0, "draws"), 10**9),
        (("targets", 0, "fractions", 0), float("nan")),
    ],
)
def test_a_study_file_is_held_to_the_same(keys: tuple[str | int, ...], value: object, tmp_path: Path) -> None:
    content = changed(*keys, value=value)
    refused(run_train("sweep", write_study(tmp_path / "study.yaml", content), "--output", tmp_path / "out", "--list"))
    with pytest.raises(StudyError, match=re.escape(str(keys[0]))):
        read_study(tmp_path / "study.yaml")


def test_a_study_of_more_cells_than_anybody_trains_is_refused(tmp_path: Path) -> None:
    content = changed("targets", 0, "fractions", value=[n / 1000 for n in range(1, 1000)])
    content["targets"][0]["draws"] = 10_000
    path = write_study(tmp_path / "study.yaml", content)
    refused(run_train("sweep", path, "--output", tmp_path / "out", "--list"), "it has more than 100,000 cells")
