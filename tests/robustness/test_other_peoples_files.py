"""Every command that writes a folder, into every kind of another's folder: refused in words, nothing changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from shards.own_files import leftovers, stranger
from tests.ingest.archives.layouts import write_shenzhen
from tests.robustness.trees import tree
from tests.training.labelled_shards import BACKBONE, TUNED
from training.cli.main import main as cxr_train

CPU = ("--device", "cpu", "--threads", 1)


def write(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def notes(folder: Path) -> None:
    write(folder, **{"notes.txt": "do not lose me"})


def names_of_a_dataset(folder: Path) -> None:
    write(folder, **dict.fromkeys(("samples.parquet", "rejected.csv", "train-000000.tar", "duplicates.csv"), "mine"))


def json_of_a_dataset(folder: Path) -> None:
    write(folder, **{"dataset.json": json.dumps({"name": "my own format", "rows": 3}), "samples.parquet": "mine"})


def build_folder(folder: Path) -> None:
    """SwiftPM and others build into `.build`; other programs end names in .tmp."""
    write(folder, **{".build__debug__app.o": "object", ".draft.tmp": "text", ".train-000000.tar.x.tmp": "half"})


def foreign_plan(folder: Path) -> None:
    write(folder, **{".build__plan.parquet": b"PAR1 not ours PAR1"})


def names_of_a_model(folder: Path) -> None:
    write(folder, **{"model.safetensors": "weights", "patients.parquet": "patients", "metrics.jsonl": "{}\n"})


def json_of_a_model(folder: Path) -> None:
    write(folder, **{"model.json": json.dumps({"name": "llm", "layers": 3}), "patients.parquet": "patients"})


def config_of_another(folder: Path) -> None:
    write(folder, **{"config.yaml": "service:\n  port: 80\n", "last.json": "{}", "patients.parquet": "patients"})


def study_of_another(folder: Path) -> None:
    write(folder, **{"study.yaml": "title: my thesis\n", "cells__a.txt": "plant cells", "report.html": "<p>mine"})


def group_of_another(folder: Path) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"by": "another program"}}
    write(folder, **{"zarr.json": json.dumps(group), "features__zarr.json": "{}", "features__c__0": "values"})


def a_dataset(folder: Path) -> None:
    """A finished dataset of ours: for every command but one that makes this very one it is another's."""
    shutil.copytree(DATASETS["labelled"], folder, dirs_exist_ok=True)


KINDS: dict[str, Callable[[Path], None]] = {
    kind.__name__: kind
    for kind in (
        *(notes, names_of_a_dataset, json_of_a_dataset, build_folder, foreign_plan, names_of_a_model, json_of_a_model),
        *(config_of_another, study_of_another, group_of_another, a_dataset),
    )
}
DATASETS: dict[str, Path] = {}
"""The session's dataset, for `a_dataset`."""


class Inputs:
    """What the commands read. Made once."""

    def __init__(self, folder: Path, labelled: Path, probed: Path, study: Path) -> None:
        self.raw = folder / "raw"
        write_shenzhen(self.raw, 12)
        self.labelled, self.probed, self.study = labelled, probed, study


@pytest.fixture(scope="module")
def inputs(labelled_root: Path, probed: Path, small_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    DATASETS["labelled"] = labelled_root
    return Inputs(tmp_path_factory.mktemp("inputs"), labelled_root, probed, small_study)


def _ingest(*words: object) -> Result:
    return CliRunner().invoke(cxr_ingest, [str(word) for word in words])


def _train(*words: object) -> Result:
    return CliRunner().invoke(cxr_train, [str(word) for word in words])


def _eval(*words: object) -> Result:
    return CliRunner().invoke(cxr_eval, [str(word) for word in words])


COMMANDS: dict[str, Callable[[Inputs, Path], Result]] = {
    "build-shards": lambda i, out: _ingest(
        "build-shards", i.raw, out, "--dataset", "shenzhen", "--name", "few", "--short-side", 32, "--workers", 1
    ),
    "build-shards, a task": lambda i, out: _ingest(
        *("build-shards", i.raw, out, "--dataset", "shenzhen", "--name", "few", "--workers", 1),
        *("--task-index", 0, "--task-count", 2),
    ),
    "finalize": lambda i, out: _ingest("finalize", out),
    "make-phantom": lambda i, out: _ingest("make-phantom", out, "--chexpert-patients", 0, "--shenzhen-images", 2),
    "pretrain": lambda i, out: _train(
        *("pretrain", "--shards", i.labelled, "--output", out, "--init", "random", "--image-size", 32, *CPU),
        *("--queue-size", 8, "--batch-size", 8, "--epochs", 1, "--batch-norm", "none", "--milestones", 1),
    ),
    "probe": lambda i, out: _train(
        "probe", "--shards", i.labelled, "--output", out, *BACKBONE, "--labels", "Edema", "--cache", i.raw / "cache"
    ),
    "finetune": lambda i, out: _train("finetune", "--shards", i.labelled, "--output", out, *BACKBONE, *TUNED),
    "sweep": lambda i, out: _train(
        "sweep", i.study / "study.yaml", "--output", out, "--data", i.study, *CPU, "--only", "runs/*"
    ),
    "study": lambda i, out: _eval("study", out, "--data", i.study, *CPU),
    "embed": lambda i, out: _eval("embed", "--shards", i.labelled, "--output", out, *BACKBONE),
}
IS_OURS = {("finalize", "a_dataset"), ("pretrain", "never")}
"""Where the folder is no other's: a finished dataset is finalized already."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_anothers_is_refused_and_left_as_it_is(
    command: str, kind: str, inputs: Inputs, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    KINDS[kind](out)
    before = tree(out)
    result = COMMANDS[command](inputs, out)
    assert tree(out) == before
    if (command, kind) in IS_OURS:
        assert result.exit_code == 0
        return
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert str(out) in result.output
    assert "Traceback" not in result.output


def test_every_command_that_makes_a_folder_is_in_the_table() -> None:
    makes = {
        "cxr-ingest": {"build-shards", "finalize", "make-phantom"},
        "cxr-train": {"pretrain", "probe", "finetune", "sweep"},
        "cxr-eval": {"embed", "study"},
    }
    others = {
        "cxr-ingest": {"verify", "info", "preview"},  # verify writes quarantine.json of this very dataset
        "cxr-train": {"export", "import", "recipes", "fetch-weights", "bench-loader", "cache"},  # a new folder only
        "cxr-eval": {
            "predict",
            "bootstrap",
            "report",
            "thresholds",
            "calibration",
            "compare-runs",
        },  # a file that is named
    }
    for name, program in (("cxr-ingest", cxr_ingest), ("cxr-train", cxr_train), ("cxr-eval", cxr_eval)):
        assert set(program.commands) <= makes[name] | others[name], name
        assert makes[name] <= set(program.commands)
    tested = {command.partition(",")[0] for command in COMMANDS}
    assert tested == set.union(*makes.values())


def test_a_file_where_the_folder_should_be_is_refused(inputs: Inputs, tmp_path: Path) -> None:
    for command, run in COMMANDS.items():
        out = tmp_path / command
        out.write_text("mine")
        result = run(inputs, out)
        assert result.exit_code in (1, 2), (command, result.output)
        assert isinstance(result.exception, SystemExit), (command, result.exception)
        assert out.read_text() == "mine", command


def test_a_dataset_is_not_written_into_its_own_source(inputs: Inputs, tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "raw", 12)
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    before = tree(tmp_path / "raw")
    words = ("--dataset", "shenzhen", "--name", "few", "--short-side", 32, "--workers", 1)
    inner = next(path for path in (tmp_path / "raw").rglob("*") if path.is_dir())
    for out in (tmp_path / "raw", tmp_path / "raw" / "new" / "shards", tmp_path / "link" / "out", inner):
        result = _ingest("build-shards", tmp_path / "raw", out, *words)
        assert result.exit_code == 1
        assert "lies in it, from where the images are read: give a folder outside of it" in " ".join(
            result.output.split()
        )
        assert tree(tmp_path / "raw") == before
    assert _ingest("build-shards", tmp_path / "raw", tmp_path / "shards", *words).exit_code == 0


def test_notes_beside_a_dataset_or_build_of_ours_stay(tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "raw", 12)
    out = tmp_path / "out"
    words = ("build-shards", tmp_path / "raw", out, "--dataset", "shenzhen", "--name", "few", "--workers", 1)
    assert _ingest(*words, "--task-index", 0, "--task-count", 2).exit_code == 0
    mine = {".build__notes.txt": "mine", ".build__done__notes.txt": "mine", ".draft.tmp": "mine", "notes.txt": "mine"}
    write(out, **mine)
    write(out, **{".samples.parquet.0123456789abcdef.tmp": "half", ".mine.0123456789abcdef.tmp": "mine"})
    assert _ingest(*words, "--task-index", 1, "--task-count", 2).exit_code == 0
    assert _ingest("finalize", out).exit_code == 0
    for name in mine:
        assert (out / name.replace("__", "/")).read_text() == "mine"
    assert (out / ".mine.0123456789abcdef.tmp").is_file()
    assert not (out / ".samples.parquet.0123456789abcdef.tmp").exists()
    assert not (out / ".build" / "plan.parquet").exists()
    assert _ingest("info", out).exit_code == 0


def test_what_a_killed_beginning_left_is_no_strangers(tmp_path: Path) -> None:
    write_shenzhen(tmp_path / "raw", 12)
    out = tmp_path / "out"
    write(out, **{".build__.plan.parquet.0123456789abcdef.tmp": "half"})
    words = ("build-shards", tmp_path / "raw", out, "--dataset", "shenzhen", "--name", "few", "--workers", 1)
    assert _ingest(*words, "--short-side", 32).exit_code == 0
    assert not (out / ".build").exists()


def test_a_model_that_was_begun_is_made_in_its_folder(labelled_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    write(out, **{".cxr-model": "{}", "metrics.jsonl": "", "model.safetensors": "half"})
    result = _train("finetune", "--shards", labelled_root, "--output", out, *BACKBONE, *TUNED)
    assert result.exit_code == 0, result.output
    assert not (out / ".cxr-model").exists()
    assert (out / "model.json").is_file()


def test_leftovers_are_known_by_the_name_that_writers_give_them(tmp_path: Path) -> None:
    ours, other = tmp_path / ".a.json.0123456789abcdef.tmp", tmp_path / ".a.json.tmp"
    for path in (ours, other):
        path.write_text("")
    assert list(leftovers(tmp_path, lambda name: name == "a.json")) == [ours]
    assert list(leftovers(tmp_path, lambda name: name == "b.json")) == []
    assert stranger(tmp_path) == other
    other.unlink()
    assert stranger(tmp_path) is None
    assert stranger(tmp_path / "not there") is None
