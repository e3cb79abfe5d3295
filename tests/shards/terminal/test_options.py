"""Options that are built from a dataclass: one instance reaches the command, and no value slips past its type."""

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from shards.terminal.options import (
    Device,
    Number,
    OptionsCommand,
    argument,
    free_keys,
    from_recipe,
    option,
    specs,
    takes,
)


class Words(click.ParamType[tuple[str, ...]]):
    """Words as "a,b" or as a list."""

    name = "words"
    takes_list = True

    def convert(
        self, value: str | list[str] | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        return tuple(value.split(",") if isinstance(value, str) else value)


@dataclass(frozen=True, kw_only=True)
class Base:
    """What several commands share."""

    out: Path = argument(click.Path(path_type=Path), help="Folder to write.")
    device: str = option("auto", Device(("auto", "cpu", "gpu")), help="Device.", group="Machine", changes_weights=False)


@dataclass(frozen=True, kw_only=True)
class Everything(Base):
    """An option of every kind."""

    name: str = option(help="Name.", group="Data")
    data: tuple[Path, ...] = option((), click.Path(path_type=Path), multiple=True, help="Data.", group="Data")
    epochs: int = option(20, click.IntRange(min=1), help="Epochs.", group="Training")
    lr: float = option(1e-4, Number(min=0, min_open=True), help="Rate.", group="Training")
    ratio: float = option(0.5, help="Ratio.", group="Training")
    optimizer: str = option("adam", click.Choice(["adam", "sgd"]), help="Optimizer.", group="Training")
    scale: tuple[float, float] = option((1.0, 1.0), click.Tuple([Number(), Number()]), help="Zoom.", group="Training")
    words: tuple[str, ...] = option(("a",), Words(), help="Words.", group="Training")
    flip: bool = option(True, help="Flip.", group="Training")
    force: bool = option(False, help="Force.", group="Training")
    threads: int | None = option(None, click.IntRange(min=1), help="Threads.", group="Machine", unset="all cores")
    note: str | None = option(None, help="Note.")


seen: list[Everything] = []


@click.command(cls=OptionsCommand)
@takes(Everything, recipe=True)
def program(options: Everything) -> None:
    """Take the options."""
    seen.append(options)


def run(*words: object) -> Result:
    seen.clear()
    return CliRunner().invoke(program, [str(word) for word in words])


def plain(text: str) -> str:
    """A usage error in one line, without click's breaks."""
    return " ".join(text.split())


def test_the_command_gets_one_frozen_instance_with_the_defaults_of_the_fields() -> None:
    assert run("o", "--name", "n").exit_code == 0
    assert seen == [Everything(out=Path("o"), name="n")]
    with pytest.raises(FrozenInstanceError):
        seen[0].epochs = 3  # type: ignore[misc]


def test_every_option_is_given_under_its_own_name() -> None:
    words = ["o", "--name", "n", "--data", "x", "--data", "y", "--epochs", 2, "--lr", "1e-3", "--optimizer", "sgd"]
    result = run(*words, "--scale", 1, 2, "--words", "a,b", "--no-flip", "--force", "--threads", 3, "--device", "cpu")
    assert result.exit_code == 0, result.output
    (given,) = seen
    assert (given.data, given.scale, given.words) == ((Path("x"), Path("y")), (1.0, 2.0), ("a", "b"))
    assert (given.flip, given.force, given.threads, given.device) == (False, True, 3, "cpu")


def test_help_has_a_heading_a_group_in_the_order_of_the_fields() -> None:
    text = run("--help").output
    headings = [line.strip(":") for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Arguments", "Machine", "Data", "Training", "Options", "Recipes and help"]
    assert "[default: (all cores); x>=1]" in plain(text)
    assert "[default: 0.0001; x>0]" in plain(text)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("name", ["--lr", "--ratio"])
def test_what_is_no_finite_number_is_no_value(name: str, value: str) -> None:
    result = run("o", "--name", "n", f"{name}={value}")
    assert result.exit_code == 2
    assert "is not a finite number" in plain(result.output)


def test_cuda_is_accepted_as_gpu() -> None:
    assert run("o", "--name", "n", "--device", "cuda").exit_code == 0
    assert seen[0].device == "gpu"


def test_options_that_change_no_weight_are_known() -> None:
    assert free_keys(Everything) == {"device"}
    assert list(specs(Everything))[:3] == ["out", "device", "name"]


# Recipes: values that only YAML can bring.

NO_NUMBER = [f"1{'0' * 400}", "true", "yes", "[1]", "{a: 1}", "2026-01-01", "{}", "[]"]
REFUSED = {
    "epochs": [*NO_NUMBER, "1.9", "2.0", "x", "0", "null", ".nan"],
    "lr": [*NO_NUMBER, "x", "0", "null", ".nan", ".inf", "-.inf"],
    "ratio": [*NO_NUMBER, "null", ".inf"],
    "optimizer": ["true", "1", "[adam]", "null", "lion"],
    "scale": ["1", "null", "[1]", "[1, 2, 3]", "[1, x]", "[1, null]", "[1, yes]", "[1, .nan]"],
    "flip": ["1", "'yes'", "null", "[true]", "2.0"],
    "force": ["0", "null", "'false'"],
    "threads": [*NO_NUMBER, "1.5", "0"],
    "data": ["null", "1", "[1]", "[[a]]", "{a: b}", '"a\\0b"', '["a\\0b"]', '"a\\ud800b"'],
    "device": ["null", "1", "tpu", "true"],
    "name": ["null", "1", "[a]", "yes", "2026-01-01", '"a\\0b"'],
    "words": ["null", "true", "{a: 1}"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in REFUSED.items() for value in values])
def test_a_value_that_the_command_line_would_not_take_is_refused_by_file_and_key(
    tmp_path: Path, key: str, value: str
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"{key}: {value}\n")
    result = run("o", *([] if key == "name" else ["--name", "n"]), "--config", recipe)
    assert result.exit_code == 2, result.output
    assert f"{recipe}: {key}: " in plain(result.output)
    assert "Traceback" not in result.output
    assert not seen


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_an_empty_key_is_refused_unless_the_option_may_be_unset(tmp_path: Path, key: str) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"{key}:\n")
    result = run("o", *([] if key == "name" else ["--name", "n"]), "--config", recipe)
    if key == "threads":  # config.yaml of a run holds null where nothing was given
        assert result.exit_code == 0
        assert seen[0].threads is None
    else:
        assert result.exit_code == 2
        assert "has no value: write one, or leave the line out" in plain(result.output)


def test_values_that_a_recipe_may_hold_reach_the_dataclass(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("epochs: 3\nlr: 1e-3\nratio: 1\nscale: [1, 1.5]\nwords: [b, c]\ndata: x\nnote: null\nflip: no\n")
    assert run("o", "--name", "n", "--config", recipe, "--lr", 2).exit_code == 0
    (given,) = seen
    assert (given.epochs, given.lr, given.ratio, given.scale) == (3, 2.0, 1.0, (1.0, 1.5))
    assert (given.words, given.data, given.note, given.flip) == (("b", "c"), (Path("x"),), None, False)


def test_the_printed_config_is_a_recipe_that_gives_the_same_options(tmp_path: Path) -> None:
    words = ["o", "--name", "n", "--epochs", 2, "--words", "x,y", "--no-flip"]
    assert run(*words).exit_code == 0
    (given,) = seen
    printed = run(*words, "--print-config")
    assert printed.exit_code == 0
    assert not seen  # nothing else was done
    assert yaml.safe_load(printed.output)["epochs"] == 2
    recipe = tmp_path / "printed.yaml"
    recipe.write_text("".join(line for line in printed.output.splitlines(keepends=True) if not line.startswith("out:")))
    assert run("o", "--config", recipe).exit_code == 0
    assert seen == [given]


def test_a_dataclass_is_filled_from_a_recipe_without_a_command_line(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("epochs: 3\nthreads: null\nscale: [1, 2]\n")
    made = from_recipe(Everything, str(recipe), out=Path("o"), name="n", epochs=4)
    assert made == Everything(out=Path("o"), name="n", epochs=4, scale=(1.0, 2.0))
    recipe.write_text("epochs: 1.9\n")
    with pytest.raises(click.BadParameter, match=r"mine.yaml: epochs: 1.9 is not a whole number"):
        from_recipe(Everything, str(recipe), out=Path("o"), name="n")
    recipe.write_text("epochs: 3\n")
    with pytest.raises(click.BadParameter, match=r"mine.yaml has no out, name, which must be given"):
        from_recipe(Everything, str(recipe))
