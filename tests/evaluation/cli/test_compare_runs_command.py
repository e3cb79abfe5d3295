"""`cxr-eval compare-runs`: one figure of several runs."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evaluation.cli.main import main


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["compare-runs", *map(str, words)])


def test_several_runs_are_lines_of_one_figure_by_their_names(study_folder: Path, tmp_path: Path) -> None:
    runs = [study_folder / "pretrain" / name for name in ("moco", "moco-densenet")]
    output = tmp_path / "new" / "runs.svg"
    done = run(*runs, "--output", output)
    assert done.exit_code == 0, done.output
    assert "moco, moco-densenet" in done.output
    texts = re.findall(r">([^<>]+)</text>", output.read_text())
    assert {"moco", "moco-densenet", "contrastive loss, nats", "contrastive top-1", "learning rate"} <= set(texts)
    assert "effective rank of the keys" not in texts  # no run has written it
    first = output.read_bytes()
    run(*runs, "--output", output)
    assert output.read_bytes() == first


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_name_of_the_output_says_its_kind(study_folder: Path, tmp_path: Path, suffix: str, magic: bytes) -> None:
    output = tmp_path / f"runs.{suffix}"
    assert run(study_folder / "pretrain" / "moco", "--output", output).exit_code == 0
    assert output.read_bytes().startswith(magic)


def test_runs_of_one_name_are_told_apart_by_their_folders(study_folder: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        shutil.copytree(study_folder / "pretrain" / "moco", tmp_path / folder / "run")
    done = run(tmp_path / "a" / "run", tmp_path / "b" / "run", "--output", tmp_path / "r.svg")
    assert "a/run, b/run" in done.output


def test_what_is_no_run_is_refused_with_what_to_do(study_folder: Path, tmp_path: Path) -> None:
    moco = study_folder / "pretrain" / "moco"
    for words, said in (
        ((study_folder, "--output", tmp_path / "r.svg"), "and holds 2 of them: name each run"),
        ((moco, moco, "--output", tmp_path / "r.svg"), "a run is named twice"),
        ((moco, "--output", tmp_path / "r.txt"), "has to end in .svg, .png or .pdf"),
    ):
        done = run(*words)
        assert done.exit_code == 1
        assert said in " ".join(done.output.split())
