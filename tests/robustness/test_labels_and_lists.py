"""The labels of a model in another order, and lists of patients that lost rows: refused by all who read them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from tests.robustness.commands import CPU, PRETRAINING, flip, refused, run_eval, run_train
from tests.robustness.damages import DAMAGES
from tests.robustness.weight_inputs import Inputs
from tests.training.labelled_shards import LABELS
from training.downstream.model_directory import load_model
from training.errors import WeightsError
from training.seen_patients import Seen, read_seen, write_seen


def _describe(folder: Path, **changed: object) -> None:
    content = json.loads((folder / "model.json").read_bytes())
    for key, value in changed.items():
        content[key] = value
    (folder / "model.json").write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("earlier", [False, True])
def test_labels_in_another_order_are_refused(earlier: bool, inputs: Inputs, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(inputs.folder / "model", tmp_path / "model"))
    assert load_model(folder).labels == LABELS
    more: dict[str, object] = {"labels_digest": None} if earlier else {}
    _describe(folder, **more)
    assert load_model(folder).labels == LABELS
    for labels in (LABELS[::-1], (LABELS[0], "Mass"), (LABELS[0], LABELS[0]), LABELS[:1], ()):
        _describe(folder, labels=list(labels), **more)
        result = run_eval(
            *("predict", "--shards", inputs.shards, "--model", folder, *CPU, "--output", tmp_path / "out.csv")
        )
        refused(result, "model.json" if len(labels) == 2 else "")
        assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("architecture", "resnet999"), ("architecture", 3), ("image_size", 0), ("image_size", 10**9)),
        *(("mean", float("nan")), ("std", 0), ("std", -1), ("std", [1, 2]), ("labels", "Edema"), ("digest", 3)),
        *(("provenance", []), ("dataset", {"name": 3}), ("train_patients", "many")),
    ],
)
def test_a_description_of_other_values_is_refused_by_its_key(
    key: str, value: object, inputs: Inputs, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(inputs.folder / "model", tmp_path / "model"))
    _describe(folder, **{key: value})
    result = run_eval("predict", "--shards", inputs.shards, "--model", folder, *CPU, "--output", tmp_path / "out.csv")
    refused(result, "model.json", key)


def _emptied(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 0), path)


def _halved(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows // 2), path)


def _renamed(path: Path) -> None:
    pq.write_table(pq.read_table(path).rename_columns(["dataset", "patient"]), path)


def _nulled(path: Path) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["patient_id"] = None
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)


LISTS: dict[str, Callable[[Path], None]] = {
    **{name: DAMAGES[name] for name in ("cut", "empty", "text")},
    "no rows": _emptied,
    "half of the rows": _halved,
    "another column": _renamed,
    "a row without a patient": _nulled,
    "flipped bit": lambda path: flip(path, 40),  # in the first name of a dataset
}
LIST_COMMANDS: dict[str, tuple[str, Callable[[Inputs, Path, Path], Result]]] = {
    "predict": (
        "model",
        lambda i, folder, out: run_eval("predict", "--shards", i.shards, "--model", folder, *CPU, "--output", out),
    ),
    "probe": (
        "run",
        lambda i, folder, out: run_train(
            *("probe", "--shards", i.shards, "--backbone-from", folder, *CPU, "--labels", LABELS[0], "--output", out)
        ),
    ),
    "finetune": (
        "export",
        lambda i, folder, out: run_train(
            *("finetune", "--shards", i.shards, "--backbone-from", folder, *CPU, "--labels", LABELS[0]),
            *("--output", out),
        ),
    ),
    "embed": (
        "export",
        lambda i, folder, out: run_eval(
            "embed", "--shards", i.shards, "--backbone-from", folder, *CPU, "--output", out
        ),
    ),
    "export": ("run", lambda i, folder, out: run_train("export", folder, out, "--format", "torchvision")),
    "pretrain --init": (
        "export",
        lambda i, folder, out: run_train(
            *("pretrain", "--shards", i.shards, "--output", out, *PRETRAINING, "--epochs", 1, *CPU),
            *("--init", folder / "backbone.safetensors"),
        ),
    ),
    "import --seen-patients": (
        "published",
        lambda i, folder, out: run_train(
            "import", folder / "checkpoint.pth.tar", out, "--seen-patients", folder / "patients.parquet"
        ),
    ),
}


@pytest.mark.parametrize("damage", LISTS)
@pytest.mark.parametrize("command", LIST_COMMANDS)
def test_a_spoiled_list_of_patients_is_refused_by_every_command_that_reads_it(
    command: str, damage: str, inputs: Inputs, tmp_path: Path
) -> None:
    name, run = LIST_COMMANDS[command]
    folder = Path(shutil.copytree(inputs.folder / name, tmp_path / name))
    path = folder / "patients.parquet"
    if not path.exists():
        shutil.copy(inputs.folder / "run" / "patients.parquet", path)
    LISTS[damage](path)
    refused(run(inputs, folder, tmp_path / "out"), "patients.parquet")
    assert not (tmp_path / "out").exists() or command == "pretrain --init"
    assert not (tmp_path / "out" / "patients.parquet").exists()


def test_a_list_that_lost_its_rows_and_its_record_is_noticed_by_those_who_know_better(
    inputs: Inputs, tmp_path: Path
) -> None:
    for name in ("model", "run"):
        folder = Path(shutil.copytree(inputs.folder / name, tmp_path / name))
        pd.DataFrame({"dataset": [], "patient_id": []}, dtype=str).to_parquet(folder / "patients.parquet")
        command = "predict" if name == "model" else "probe"
        refused(LIST_COMMANDS[command][1](inputs, folder, tmp_path / "out"), "patients")


def test_every_changed_byte_of_a_list_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    seen = Seen(
        patients=pd.DataFrame({"dataset": ["a"] * 3 + ["b"], "patient_id": ["p1", "p2", "p3", "p1"]}),
        salts={"a": ("",), "b": ("0123456789abcdef",)},
        declared=("seen.csv, 4 patients",),
    )
    write_seen(tmp_path, seen)
    path = tmp_path / "patients.parquet"
    whole, expected = path.read_bytes(), read_seen(tmp_path)
    noticed = 0
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 4
        path.write_bytes(content)
        try:
            found = read_seen(tmp_path)
        except WeightsError:
            noticed += 1
            continue
        pd.testing.assert_frame_equal(found.patients, expected.patients)
        assert (found.salts, found.declared, found.unknown) == (expected.salts, expected.declared, ()), place
    assert noticed > len(whole) / 4


def test_a_list_of_images_with_fewer_rows_is_refused(inputs: Inputs, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(inputs.folder / "model", tmp_path / "model"))
    _halved(folder / "images.parquet")
    refused(LIST_COMMANDS["predict"][1](inputs, folder, tmp_path / "out"), "images.parquet", "Copy the whole folder")
