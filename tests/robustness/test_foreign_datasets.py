"""Datasets that somebody else wrote: names, keys, offsets and sizes are held to the format, rows to their tars."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ingest.cli.main import main as cxr_ingest
from shards.errors import DatasetError
from shards.format.dataset import open_dataset
from shards.format.schema import schema
from shards.format.verify import verify
from tests.shards.small_datasets import LABELS, write_small_dataset


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_dataset(tmp_path_factory.mktemp("good") / "shards")


@pytest.fixture
def root(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "shards"))


def description(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "dataset.json").read_bytes())
    return content


def write_description(root: Path, content: object) -> None:
    (root / "dataset.json").write_text(json.dumps(content))


def change(root: Path, *path: str | int, value: object) -> None:
    """Write another value into dataset.json."""
    content = description(root)
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    write_description(root, content)


def drop(root: Path, *path: str | int) -> None:
    content = description(root)
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    write_description(root, content)


def rewrite(root: Path, rows: pa.Table) -> None:
    """Put other rows into samples.parquet, and their SHA-256 into dataset.json: nothing else looks wrong."""
    stream = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata(None), stream)
    (root / "samples.parquet").write_bytes(stream.getvalue())
    content = description(root)
    content["samples"] = {"rows": rows.num_rows, "sha256": hashlib.sha256(stream.getvalue()).hexdigest()}
    write_description(root, content)


def change_row(root: Path, row: int, **cells: object) -> None:
    rows = pq.read_table(root / "samples.parquet").to_pylist()
    rows[row].update(cells)
    rewrite(root, pa.Table.from_pylist(rows, schema=schema(LABELS)))


def cell(root: Path, column: str, row: int) -> object:
    value: object = pq.read_table(root / "samples.parquet")[column][row].as_py()
    return value


def retype(root: Path) -> None:
    table = pq.read_table(root / "samples.parquet")
    place = table.schema.get_field_index("age")
    rewrite(root, table.set_column(place, "age", table["age"].cast(pa.float64())))


def leave_out_column(root: Path) -> None:
    rewrite(root, pq.read_table(root / "samples.parquet").drop_columns(["crc32c"]))


def break_parquet(root: Path) -> None:
    (root / "samples.parquet").write_bytes(b"PAR1 nothing PAR1")
    change(root, "samples", "sha256", value=hashlib.sha256(b"PAR1 nothing PAR1").hexdigest())


DESCRIPTIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "name that leaves the folder": (lambda r: change(r, "name", value="../../x"), r"its name is '\.\./\.\./x'"),
    "name of a number": (lambda r: change(r, "name", value=3), "name is 3, not text"),
    "long name": (lambda r: change(r, "name", value="n" * 96), "its name is 'nnn"),
    "shard that leaves the folder": (
        lambda r: change(r, "shards", 0, "name", value="../../../etc/passwd"),
        r"a shard is called '\.\./\.\./\.\./etc/passwd'",
    ),
    "shard of another split": (lambda r: change(r, "shards", 0, "split", value="test"), "of the split 'test'"),
    "shard twice": (lambda r: change(r, "shards", 1, "name", value="train-000000"), "listed twice"),
    "negative size": (lambda r: change(r, "shards", 0, "bytes", value=-1), "samples in -1 bytes"),
    "size of an exabyte": (lambda r: change(r, "shards", 0, "bytes", value=10**18), "samples in 1,000,000,000,0"),
    "no samples": (lambda r: change(r, "shards", 0, "samples", value=0), "0 samples in"),
    "too many samples": (lambda r: change(r, "shards", 0, "samples", value=10**9), "1,000,000,000 samples in"),
    "size as text": (
        lambda r: change(r, "shards", 0, "bytes", value="512"),
        r"shards\[0\].bytes is '512', not a whole number",
    ),
    "no digest": (lambda r: change(r, "shards", 0, "sha256", value="x"), "no SHA-256 of tar and index"),
    "label twice": (lambda r: change(r, "labels", value=["Edema", "Edema"]), "'Edema' is named twice"),
    "label that is a column": (lambda r: change(r, "labels", value=["Edema", "shard"]), "or is a column of its own"),
    "missing name": (lambda r: drop(r, "name"), "the key name is missing"),
    "missing shards": (lambda r: drop(r, "shards"), "the key shards is missing"),
    "missing samples": (lambda r: drop(r, "samples"), "the key samples is missing"),
    "shards of another kind": (lambda r: change(r, "shards", value={"a": 1}), "shards is .*, not a list"),
    "future version": (lambda r: change(r, "format_version", value=2), "format version 2; this release reads 1"),
    "version of another kind": (lambda r: change(r, "format_version", value=[1]), "format version"),
    "a list": (lambda r: write_description(r, [1, 2]), "format version None"),
    "deep": (lambda r: (r / "dataset.json").write_text("[" * 100_000), "is not JSON"),
    "cut": (lambda r: (r / "dataset.json").write_text('{"format_version": 1,'), "is not JSON"),
    "no UTF-8": (lambda r: (r / "dataset.json").write_bytes(b"\xff\xfe{}"), "is not JSON"),
}
ROWS: dict[str, tuple[Callable[[Path], object], str]] = {
    "key that leaves the folder": (lambda r: change_row(r, 2, key="../../x"), r"row 2 has the key '\.\./\.\./x'"),
    "key with a dot": (lambda r: change_row(r, 0, key="a.b"), "row 0 has the key 'a.b'"),
    "key twice": (
        lambda r: change_row(r, 1, key=pq.read_table(r / "samples.parquet")["key"][0].as_py()),
        "row 1 has the key",
    ),
    "id twice": (
        lambda r: change_row(r, 3, sample_id=cell(r, "sample_id", 0)),
        "row 3 has the sample_id .* of an earlier row",
    ),
    "negative id": (lambda r: change_row(r, 3, sample_id=-5), "the sample_id -5, below 0"),
    "unknown shard": (lambda r: change_row(r, 0, shard="../../x"), r"in the shard '\.\./\.\./x', which is not listed"),
    "another shard": (lambda r: change_row(r, 0, shard="train-000001"), "6 rows are in train-000000, which has 7"),
    "another split": (lambda r: change_row(r, 0, split="test"), "is of the split 'test', its shard of another"),
    "position": (lambda r: change_row(r, 1, position=7), "the position 7, where 1 is next"),
    "negative offset": (lambda r: change_row(r, 1, offset=-512), "lies at byte -512"),
    "offset beyond the tar": (lambda r: change_row(r, 1, offset=2**62), "lies at byte 4611686018427387904"),
    "offset within a block": (lambda r: change_row(r, 1, offset=513), "lies at byte 513"),
    "length beyond the tar": (lambda r: change_row(r, 1, bytes=2**62), "4611686018427387904 long"),
    "no length": (lambda r: change_row(r, 1, bytes=0), ", 0 long"),
    "overlap": (lambda r: change_row(r, 1, offset=512), "row 1 begins inside of the sample before it"),
    "width": (lambda r: change_row(r, 0, width=0), "row 0 has the width 0"),
    "height": (lambda r: change_row(r, 0, height=10**9), "row 0 has the height 1000000000"),
    "label": (lambda r: change_row(r, 0, Edema=0.5), "has 0.5 for 'Edema', not 1, 0, -1 or null"),
    "type of a column": (retype, "the column 'age' is not the format's"),
    "missing column": (leave_out_column, "the column 'crc32c' is not the format's"),
    "no Parquet": (break_parquet, "is no Parquet file that can be read"),
    "fewer rows": (
        lambda r: rewrite(r, pq.read_table(r / "samples.parquet").slice(0, 5)),
        "5 rows are in train-000000",
    ),
}


@pytest.mark.parametrize("kind", [*DESCRIPTIONS, *ROWS])
def test_what_no_build_writes_is_refused_when_it_is_opened(kind: str, root: Path) -> None:
    spoil, said = {**DESCRIPTIONS, **ROWS}[kind]
    spoil(root)
    with pytest.raises(DatasetError, match=said):
        open_dataset(root, check_shards=False)
    for command in ("verify", "info"):
        result = CliRunner().invoke(cxr_ingest, [command, str(root)])
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit), result.exception


def test_a_dataset_of_ours_is_opened(good: Path) -> None:
    assert len(open_dataset(good).samples) == 23
    assert verify(good) == []


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"Edema": 1.0, "patient_id": "somebody else"}, "differ in patient_id, Edema"),
        ({"projection": None}, "differ in projection"),
        ({"age": 17.0}, "differ in age"),
        ({"sample_id": 5}, "the sample_id of .* is not that of its name"),
        ({"source_path": "raw/other.jpg"}, "differ in source_path"),
        ({"key": "patient99999_study1_view1"}, "no JSON member|the sample_id of"),
    ],
)
def test_verify_compares_every_row_with_the_json_in_its_tar_but_for_quick(
    cells: dict[str, object], said: str, root: Path
) -> None:
    row = 3  # its labels are unknown
    key = pq.read_table(root / "samples.parquet")["key"][row].as_py()
    change_row(root, row, **cells)
    open_dataset(root)
    found = verify(root)
    assert {(finding.kind, finding.shard, finding.key) for finding in found} == {
        ("row", "train-000000", cells.get("key", key))
    }
    assert any(pd.Series([finding.message]).str.contains(said).all() for finding in found), found
    assert verify(root, quick=True) == []
    result = CliRunner().invoke(cxr_ingest, ["verify", str(root)])
    assert result.exit_code == 1
    assert "findings in" in result.output
    assert CliRunner().invoke(cxr_ingest, ["verify", str(root), "--quick"]).exit_code == 0


def test_an_exclusion_after_its_shard_was_written_is_no_finding(root: Path) -> None:
    change_row(root, 3, excluded="duplicate of patient00000-study1-view0_frontal")
    assert verify(root) == []
