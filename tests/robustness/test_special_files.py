"""Pipes, devices, folders and files that grow when they are read: a sentence in seconds, wherever they are named."""

import gzip
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from ingest.tables.files import open_table, tables_up_to
from shards.errors import DatasetError
from shards.images.gray import read_gray
from shards.images.jpeg_markers import MOST_SCANS
from shards.images.unusable_image import UnusableImage
from shards.input_files import load_json, load_yaml, read_regular
from tests.ingest.archives.layouts import write_shenzhen
from tests.shards.small_datasets import jpeg_of, smooth_image
from tests.training.labelled_shards import BACKBONE
from training.cli.main import main as cxr_train

PATIENCE_S, CPU_S = 120, 10
"""By the clock, for what would wait for ever, on a machine that does other work; and of the processor."""


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nothing here"))


def loop(path: Path) -> None:
    path.symlink_to(path)


def not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00\x9f" * 100)


KINDS: dict[str, Callable[[Path], None]] = {
    kind.__name__: kind for kind in (pipe, device, folder, dangling_link, loop, not_text)
}


def ingest(*words: object) -> Result:
    return CliRunner().invoke(cxr_ingest, [str(word) for word in words])


def train(*words: object) -> Result:
    return CliRunner().invoke(cxr_train, [str(word) for word in words])


def evaluate(*words: object) -> Result:
    return CliRunner().invoke(cxr_eval, [str(word) for word in words])


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("raw") / "mine"
    source.mkdir()
    (source / "a.jpg").write_bytes(jpeg_of(smooth_image(50, 60, 1)))
    write_shenzhen(source.parent / "shenzhen", 6)
    return source


PLACES: dict[str, Callable[[Path, Path, Path, Path], Result]] = {
    "table of a build": lambda bad, raw, shards, out: ingest(
        "build-shards", raw, out, "--dataset", "table", "--table", bad, "--label-columns", "x"
    ),
    "mapping of a build": lambda bad, raw, shards, out: ingest(
        "build-shards", raw, out, "--dataset", "table", "--mapping", bad
    ),
    "salt of a build": lambda bad, raw, shards, out: ingest(
        "build-shards", raw, out, "--dataset", "folder", "--hash-identifiers", bad
    ),
    "recipe": lambda bad, raw, shards, out: train("pretrain", "--config", bad, "--shards", shards, "--output", out),
    "weights": lambda bad, raw, shards, out: train(
        "probe", "--shards", shards, "--backbone-from", bad, "--labels", "Edema", "--output", out
    ),
    "initial weights": lambda bad, raw, shards, out: train(
        "pretrain", "--shards", shards, "--output", out, "--init", bad, "--queue-size", 8, "--device", "cpu"
    ),
    "published checkpoint": lambda bad, raw, shards, out: train("import", bad, out),
    "study": lambda bad, raw, shards, out: train("sweep", bad, "--output", out),
    "truth": lambda bad, raw, shards, out: evaluate(
        "bootstrap", "--labels", bad, "--arm", f"a={raw / 'p.csv'}", "--output", out
    ),
    "predictions": lambda bad, raw, shards, out: evaluate(
        "bootstrap", "--labels", shards, "--arm", f"a={bad}", "--output", out
    ),
    "files": lambda bad, raw, shards, out: evaluate("embed", *BACKBONE, "--files", bad, "--output", out),
}


TAKEN = {("salt of a build", "not_text")}
"""A salt is any bytes."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_special_file_is_refused_in_seconds_wherever_it_is_named(
    place: str, kind: str, raw: Path, labelled_root: Path, tmp_path: Path
) -> None:
    (raw / "p.csv").write_text("key,Edema\na,0.5\n")
    if (place, kind) in TAKEN:
        return
    bad = tmp_path / "bad"
    KINDS[kind](bad)
    began = time.monotonic()
    result = PLACES[place](bad, raw, labelled_root, tmp_path / "out")
    assert time.monotonic() - began < PATIENCE_S
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "bad" in result.output or "no JPEG, PNG or DICOM file" in result.output
    assert not (tmp_path / "out").exists()


def test_a_report_of_a_folder_with_special_files_names_them(tmp_path: Path) -> None:
    study = tmp_path / "study"
    for number, name in enumerate(("config.yaml", "model.json", "metrics.jsonl", "result.json")):
        (study / str(number)).mkdir(parents=True)
        os.mkfifo(study / str(number) / name)
    (study / "run").mkdir()
    (study / "run" / "config.yaml").write_text("epochs: 2\n")
    (study / "run" / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    began = time.monotonic()
    result = evaluate("report", study, "--output", tmp_path / "report.html")
    assert time.monotonic() - began < PATIENCE_S
    assert isinstance(result.exception, SystemExit | None), result.exception


BOMBS: dict[str, str] = {
    "aliases of aliases": "\n".join(
        ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    ),
    "merges of merges": "\n".join(
        ["m0: &m0 {k: v}"] + [f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 10)}]" for n in range(1, 12)]
    ),
    "an alias of itself": "a: &a [*a]",
    "deep": "[" * 50_000,
    "deep and closed": "[" * 3000 + "]" * 3000,
    "long": "a: " + "x" * 300_000,
    "many": "a: [" + "1, " * 25_000 + "]",
    "a long number": "a: " + "9" * 6000,
    "a python object": "a: !!python/object/apply:os.system [true]",
    "a date that is none": "a: 2024-99-99",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_yaml_beyond_its_budget_is_refused_in_seconds(
    kind: str, raw: Path, labelled_root: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(BOMBS[kind])
    began = time.process_time()
    with pytest.raises(yaml.YAMLError):
        load_yaml(BOMBS[kind])
    for place in ("recipe", "study", "mapping of a build"):
        result = PLACES[place](bad, raw, labelled_root, tmp_path / "out")
        assert result.exit_code in (1, 2), result.output
        assert isinstance(result.exception, SystemExit), result.exception
        assert "YAML" in result.output
        assert len(result.output) < 5000
    assert time.process_time() - began < CPU_S


def test_yaml_within_its_budget_is_read_as_before() -> None:
    text = "base: &base {a: 1, b: [1, 2]}\nother:\n  <<: *base\n  b: [3]\nagain: *base\n"
    assert load_yaml(text) == yaml.safe_load(text)
    assert load_yaml("") is None
    assert load_yaml("x: 1.5") == {"x": 1.5}


def test_deep_json_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        load_json("[" * 100_000 + "]" * 100_000)
    assert load_json(b'{"a": [1]}') == json.loads('{"a": [1]}')


def test_a_table_that_unpacks_to_more_than_a_table_is_refused(raw: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "train.csv.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert bomb.stat().st_size < 1 << 20
    with (
        pytest.raises(DatasetError, match=r"inflates to more than 10,000,000 bytes.*allow it by --max-table-bytes"),
        tables_up_to(10_000_000),
        open_table(bomb) as table,
    ):
        table.read()
    plain = tmp_path / "train.csv"
    plain.write_bytes(bytes(20_000))
    with (
        pytest.raises(DatasetError, match="has 20,000 bytes, more than 10,000 bytes"),
        tables_up_to(10_000),
        open_table(plain),
    ):
        pass
    mine = tmp_path / "mine.csv"
    mine.write_text("path,x,note\na.jpg,1," + "long " * 500 + "\n")
    words = ("build-shards", raw, tmp_path / "out", "--dataset", "table", "--table", mine, "--label-columns", "x")
    refused = ingest(*words, "--max-table-bytes", 1000)
    assert refused.exit_code == 1
    assert "--max-table-bytes" in refused.output
    allowed = ingest(*words, "--valid-fraction", 0, "--test-fraction", 0)
    assert allowed.exit_code == 0, allowed.output


def test_a_file_beyond_its_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=r"it has 1,099,511,627,776 bytes, more than 1,000"):
        read_regular(tmp_path / "sparse", 1000)


def test_a_progressive_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    stream = io.BytesIO()
    Image.fromarray(smooth_image(640, 640, 1)).save(stream, "JPEG", progressive=True, quality=50)
    content = stream.getvalue()
    assert read_gray(content, None).shape == (640, 640)
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    bomb = content[:-2] + scan * 5000 + content[-2:]
    began = time.process_time()
    with pytest.raises(UnusableImage, match=f"it has more than {MOST_SCANS} scans"):
        read_gray(bomb, None)
    assert time.process_time() - began < 1


def test_a_decoder_itself_refuses_a_second_scan_of_a_baseline_jpeg() -> None:
    stream = io.BytesIO()
    Image.fromarray(smooth_image(640, 640, 1)).save(stream, "JPEG", quality=50)
    content = stream.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    began = time.process_time()
    with pytest.raises(UnusableImage, match="more than one scan"):
        read_gray(content[:-2] + scan * 5000 + content[-2:], None)
    assert time.process_time() - began < 1
