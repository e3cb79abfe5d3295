"""What a person at the terminal sees: one message for an error, recipes under flags, progress."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from shards.errors import CorruptShardError
from shards.terminal import progress as terminal
from shards.terminal.group import Group
from shards.terminal.progress import progress, size_in_units
from shards.terminal.recipes import recipe_option


@click.group(cls=Group)
def program() -> None:
    """A command line with one command that fails and one that shows its options."""


@program.command()
def fail() -> None:
    """Raise one of our errors."""
    raise CorruptShardError("train-000000.tar ends inside patient1: copy it again.")


@program.command()
def crash() -> None:
    """Raise an error that is a bug."""
    raise ZeroDivisionError


@program.group(cls=Group)
def inner() -> None:
    """A group in the group."""


inner.add_command(fail)


@program.command()
@recipe_option
@click.option("--image-size", type=click.IntRange(min=1), default=320)
@click.option("--lr", type=float, default=1e-3)
@click.option("--flip/--no-flip", default=True)
@click.option("--labels", multiple=True)
@click.option("--output", required=True)
def show(config: str | None, image_size: int, lr: float, flip: bool, labels: tuple[str, ...], output: str) -> None:
    """Print the options as they were resolved."""
    assert config is None or config.endswith("recipe.yaml")
    click.echo(f"{image_size} {lr} {flip} {','.join(labels)} {output}")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(program, list(arguments))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("image-size: 96\nlr: 1e-4\nflip: false\nlabels: [Edema, Pleural Effusion]\noutput: from-recipe\n")
    return path


@pytest.mark.parametrize("arguments", [["fail"], ["inner", "fail"]])
def test_one_of_our_errors_is_one_message_and_exit_status_1(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr == "Error: train-000000.tar ends inside patient1: copy it again.\n"
    assert result.stdout == ""


def test_a_bug_keeps_its_traceback() -> None:
    assert isinstance(run("crash").exception, ZeroDivisionError)


def test_a_wrong_option_is_exit_status_2() -> None:
    assert run("show", "--image-size", "0", "--output", "o").exit_code == 2


def test_without_a_recipe_defaults_hold() -> None:
    assert run("show", "--output", "o").stdout == "320 0.001 True  o\n"


def test_a_recipe_beats_the_defaults_and_fills_required_options(recipe: Path) -> None:
    assert run("show", "--config", str(recipe)).stdout == "96 0.0001 False Edema,Pleural Effusion from-recipe\n"


@pytest.mark.parametrize("config_last", [False, True])
def test_a_flag_beats_the_recipe_wherever_it_stands(recipe: Path, config_last: bool) -> None:
    flags = ["--image-size", "64", "--flip", "--labels", "Cardiomegaly", "--output", "o"]
    config = ["--config", str(recipe)]
    result = run("show", *(flags + config if config_last else config + flags))
    assert result.stdout == "64 0.0001 True Cardiomegaly o\n"


def test_an_unknown_option_in_a_recipe_is_an_error_that_names_it(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "learning_rate: 1\nconfig: other.yaml\n")
    result = run("show", "--config", str(recipe))
    assert result.exit_code == 2
    assert "unknown option(s) config, learning_rate" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("image_size: large\n", "'large' is not a valid integer"), ("image_size: 0\n", "0 is not in the range")],
)
def test_a_value_in_a_recipe_is_checked_like_a_flag(recipe: Path, content: str, complaint: str) -> None:
    recipe.write_text(content + "output: o\n")
    result = run("show", "--config", str(recipe))
    assert result.exit_code == 2
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"- a\n- b\n", "does not hold a mapping of options to values"),
        (b"", "does not hold a mapping of options to values"),
        (b"a: b: c\n", "is not YAML: mapping values are not allowed here"),
        (b"a: [1\n", "is not YAML"),
        (b"a: \xff\n", "is not YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_without_a_traceback(recipe: Path, content: bytes, complaint: str) -> None:
    recipe.write_bytes(content)
    result = run("show", "--config", str(recipe))
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())


def test_a_recipe_that_is_neither_file_nor_shipped_lists_what_is() -> None:
    result = run("show", "--config", "nowhere.yaml")
    assert result.exit_code == 2
    assert "neither a file nor a shipped recipe" in " ".join(result.stderr.split())


def test_a_log_gets_a_line_a_minute_with_rate_time_to_go_and_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with progress(1000, "pretrain", "images", initial=100) as bar:
        for _ in range(8):
            now += 20
            bar.advance(50, loss="6.93")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "pretrain: 250 of 1000 images, 2.5/s, 300 s to go, loss 6.93",
        "pretrain: 400 of 1000 images, 2.5/s, 240 s to go, loss 6.93",
        "pretrain: 500 of 1000 images, 2.5/s, 200 s to go, loss 6.93",
    ]


def test_bytes_are_logged_in_larger_units(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with progress(3_000_000_000, "Verifying", "B") as bar:
        now += 60
        bar.advance(1_500_000_000)
    assert capsys.readouterr().err.splitlines()[0] == "Verifying: 1.5 GB of 3.0 GB, 25.0 MB/s, 60 s to go"


def test_work_of_unknown_length_is_logged_without_a_time_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(None, "scan", "files") as bar:
        bar.advance(3)
    assert capsys.readouterr().err.startswith("scan: 3 files, ")


def shown_on_a_terminal(columns: int, unit: str, steps: int) -> str:
    """What a terminal of so many columns is sent by four advances of `steps` units."""
    script = f"""
        from shards.terminal.progress import progress
        with progress({4 * steps}, "pretrain", "{unit}") as bar:
            for _ in range(4):
                bar.advance({steps}, loss=6.93)
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], stderr=slave, check=True)
    os.close(slave)
    shown = b""
    while chunk := _read(master):
        shown += chunk
    os.close(master)
    return shown.decode()


def test_a_terminal_gets_a_bar_with_rate_and_figures() -> None:
    text = shown_on_a_terminal(120, "images", 1)
    assert "pretrain: 100%" in text
    assert "4/4" in text
    assert "images/s, loss=6.93" in text


def test_bytes_are_shown_in_larger_units_on_a_terminal() -> None:
    assert "4.00G/4.00G" in shown_on_a_terminal(120, "B", 1_000_000_000)


def test_a_terminal_of_no_columns_gets_lines() -> None:
    assert shown_on_a_terminal(0, "images", 1).startswith("pretrain: 4 of 4 images, ")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux ends a terminal that nobody writes to with EIO
        return b""


def test_the_interval_of_a_log_is_a_minute() -> None:
    assert terminal.LOG_INTERVAL_S == 60


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (599.4, "599 s"), (600, "0:10 h"), (3570, "1:00 h"), (36_300, "10:05 h"), (400_000, "111:07 h")],
)
def test_what_is_left_is_told_in_hours_where_it_takes_long(seconds: float, words: str) -> None:
    assert terminal.duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (99_960, "100 kB"),
        (439_000_000_000, "439 GB"),
    ],
)
def test_bytes_are_shown_in_units(size: float, words: str) -> None:
    assert size_in_units(size) == words


def test_a_size_just_below_a_unit_is_shown_in_the_next_one() -> None:
    assert size_in_units(999_600) == "1.0 MB"
    assert size_in_units(2.5e12) == "2.5 TB"
