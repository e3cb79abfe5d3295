import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ingest.build.options import ShortSide
from ingest.cli.main import main
from shards.terminal.options import Number
from tests.ingest.archives.layouts import write_chexpert, write_shenzhen


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    write_chexpert(folder / "source")
    broken = folder / "source" / "train" / "patient00003" / "study1" / "view1_frontal.jpg"
    broken.write_bytes(b"")
    result = run(
        "build-shards", folder / "source", folder / "out", "--dataset", "chexpert", "--short-side", "48",
        "--samples-per-shard", "10", "--workers", "1", "--max-rejected", "0.05", "--name", "chexpert",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "out"


def test_info_counts_as_json_what_the_source_holds(built: Path) -> None:
    info = json.loads(run("info", built, "--json").stdout)
    assert info["name"] == "chexpert"
    assert info["licence"].startswith("not known: another dataset in the layout of chexpert")
    assert info["rejected"] == {"rows": 1, "kinds": {"unreadable image": 1}}
    train = info["splits"]["train"]["samples"]
    assert (
        train == sum(n["train"] for n in info["projection"].values()) == sum(n["train"] for n in info["sex"].values())
    )
    assert set(info["age"]) == {"20-29", "30-39", "40-49"}
    assert info["ap_pa"]["unknown"]["train"] == info["projection"]["lateral"]["train"] > 0
    for states in info["labels"].values():
        assert sum(states["train"].values()) == train
        assert all(states["train"][state] > 0 for state in ("positive", "negative", "uncertain", "missing"))
    assert info["images"]["short_side"] == {"least": 48, "most": 48}


def test_info_prints_a_table_that_names_labels_and_rejects(built: Path) -> None:
    text = run("info", built).stdout
    for words in ("Pleural Effusion", "uncertain", "frontal", "20-29", "1 unreadable image", "Licence: not known"):
        assert words in text


@pytest.mark.parametrize("workers", [[], ["--workers", "1"], ["--workers", "5"]])
def test_verify_is_content_with_a_whole_dataset(built: Path, workers: list[str]) -> None:
    result = run("verify", built, "--decode", *workers)
    assert result.exit_code == 0, result.output
    assert "all as written" in result.stdout


def test_verify_names_shard_and_key_of_a_flipped_byte(tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "source")
    run(
        "build-shards",
        tmp_path / "source",
        tmp_path / "out",
        "--dataset",
        "shenzhen",
        "--workers",
        "1",
        "--name",
        "few",
    )
    shard = tmp_path / "out" / "valid-000000.tar"
    content = bytearray(shard.read_bytes())
    content[700] ^= 1
    shard.write_bytes(content)
    result = run("verify", tmp_path / "out")
    assert result.exit_code == 1
    assert "valid-000000 CHNCXR_" in result.stdout


def test_preview_is_a_picture_of_what_was_asked_for(built: Path, tmp_path: Path) -> None:
    result = run("preview", built, tmp_path / "sheet.png", "--count", "9", "--split", "valid")
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "sheet.png").size[0] > 1000
    assert "no test split" in run("preview", built, tmp_path / "none.png", "--split", "test").output


def test_building_again_says_that_there_is_nothing_to_do(built: Path) -> None:
    result = run(
        "build-shards", built.parent / "source", built, "--dataset", "chexpert", "--short-side", "48",
        "--name", "chexpert", "--samples-per-shard", "10", "--workers", "2",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "finished already" in result.stdout


def test_tasks_and_finalize_build_by_the_command_line(built: Path, tmp_path: Path) -> None:
    common = [
        "--dataset",
        "chexpert",
        "--name",
        "chexpert",
        "--short-side",
        "48",
        "--samples-per-shard",
        "10",
        "--workers",
        "1",
    ]
    for index in (1, 0):
        part = ["--task-index", index, "--task-count", 2]
        assert run("build-shards", built.parent / "source", tmp_path, *common, *part).exit_code == 0
        if index:
            unfinished = run("finalize", tmp_path)
            assert unfinished.exit_code == 1
            assert "not filled yet" in unfinished.output
    result = run("finalize", tmp_path)
    assert result.exit_code == 1
    assert "1 unreadable image" in result.output
    assert run("finalize", tmp_path, "--max-rejected", "0.05").exit_code == 0
    assert (tmp_path / "dataset.json").read_bytes() == (built / "dataset.json").read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--dataset", "chexpert", "--task-index", "0"], "go together"),
        (["--dataset", "chexpert", "--task-index", "2", "--task-count", "2"], "begins at 0"),
        (["--dataset", "chexpert", "--name", "a.b"], "--name"),
        (["--dataset", "chexpert", "--short-side", "tall"], "none"),
        (["--dataset", "chexpert", "--valid-fraction", "0.5", "--test-fraction", "0.5"], "nothing to train on"),
        (["--dataset", "chexpert", "--test-source", ".", "--test-fraction", "0.5"], "--test-source"),
        (["--dataset", "mnist"], "shenzhen"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    built: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    result = run("build-shards", built.parent / "source", tmp_path / "out", *options)
    assert result.exit_code == 2, result.output
    assert says in result.output


@pytest.mark.parametrize("command", ["make-phantom", "build-shards", "finalize", "verify", "info", "preview"])
def test_every_command_says_what_it_reads_and_writes(command: str) -> None:
    text = " ".join(run(command, "--help").stdout.split())
    assert "write" in text.lower() or "save" in text.lower()
    assert len(text) > 200


def test_neither_torch_nor_dali_is_loaded(built: Path) -> None:
    code = (
        "import sys; from click.testing import CliRunner; from ingest.cli.main import main;"
        f"assert CliRunner().invoke(main, ['info', {str(built)!r}]).exit_code == 0;"
        "import ingest.build.dataset_build, ingest.inspection.preview;"
        "print(sorted({'torch', 'torchvision', 'nvidia', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


NUMBERS = [
    (name, parameter.opts[0])
    for name, command in main.commands.items()
    for parameter in command.params
    if isinstance(parameter, click.Option) and isinstance(parameter.type, (click.types.IntParamType, Number, ShortSide))
]


def test_the_options_that_are_numbers_are_found() -> None:
    assert {("build-shards", "--max-rejected"), ("finalize", "--max-rejected"), ("preview", "--count")} <= set(NUMBERS)
    assert not any(
        type(parameter.type) in (click.types.FloatParamType, click.FloatRange)  # these let NaN pass
        for command in main.commands.values()
        for parameter in command.params
    )


@pytest.mark.parametrize(("command", "option"), NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_neither_nan_nor_infinity_is_a_number(
    built: Path, tmp_path: Path, command: str, option: str, value: str
) -> None:
    places: dict[str, list[object]] = {
        "build-shards": [tmp_path, tmp_path / "out", "--dataset", "shenzhen"],
        "preview": [built, tmp_path / "a"],
    }
    result = run(command, *places.get(command, [built]), option, value)
    assert result.exit_code == 2
    assert option in result.stderr
    assert list(tmp_path.iterdir()) == []
