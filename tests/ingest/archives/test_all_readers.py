"""What every reader of every archive has in common, and that nothing but a named refusal comes out of any bytes.

FUZZ_EXAMPLES=20000 runs each fuzz test that often (CONTRIBUTING.md); by default they are few.
"""

import contextlib
import gzip
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.archives.source import VARIANTS, SourceRows, open_source
from ingest.build.hashed_identifiers import hash_identifiers
from ingest.build.header import Options, plan_header
from ingest.build.plan import write_plan
from ingest.cli.main import main
from shards.errors import DatasetError
from shards.format.dataset import open_dataset
from tests.ingest.archives.miniatures import MINIATURES, write_test_release
from tests.ingest.build.promises import hold_to_promises

SALT = b"sixteen bytes!!!"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
fuzz = settings(
    max_examples=EXAMPLES or 6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True, repr=False)
class Archive:
    """A miniature on disk: its variant, its folder, that of a test release, and the tables and texts in it."""

    variant: str
    root: Path
    test_source: Path | None
    files: dict[Path, bytes]

    def read(self) -> SourceRows:
        """Open the reader and read."""
        return open_source(self.variant, self.root, self.test_source).read()


@pytest.fixture(scope="module", params=[*VARIANTS, "chexpert with a test release"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Every archive in turn."""
    variant = request.param.partition(" ")[0]
    root = tmp_path_factory.mktemp(variant)
    MINIATURES[variant](root)
    test_source = None
    if variant != request.param:
        test_source = tmp_path_factory.mktemp("test-release")
        write_test_release(test_source)
    texts = (".csv", ".gz", ".json", ".txt")
    files = [
        file for folder in (root, test_source) if folder for file in sorted(folder.rglob("*")) if file.suffix in texts
    ]
    return Archive(variant, root, test_source, {file: file.read_bytes() for file in files})


def test_every_archive_is_read_without_a_rejection(archive: Archive) -> None:
    reader = open_source(archive.variant, archive.root, archive.test_source)
    found = reader.read()
    assert found.rejected.empty
    assert len(found.samples) >= 6
    hold_to_promises(found, reader.label_names)
    assert all(
        (reader.roots[root] / file).is_file() for root, file in found.samples[["root", "file"]].itertuples(index=False)
    )
    assert reader.variant == archive.variant
    assert len(reader.licence) > 40
    assert set(reader.fingerprint()) == {
        *(file.name for file in archive.files if file.suffix != ".txt" or "list" in file.name),
        *(("CXR_png", "ClinicalReadings") if "CXR" in found.samples["where"].iloc[0] else ()),
    }


def test_every_archive_can_be_planned_with_and_without_names(archive: Archive, tmp_path: Path) -> None:
    reader = open_source(archive.variant, archive.root, archive.test_source)
    for salt in (None, SALT):
        digest = None if salt is None else hashlib.sha256(salt).hexdigest()
        options = Options(archive.variant, 32, 5, 0, reader.valid_fraction, 0.0, hash_identifiers=digest)
        plan = write_plan(tmp_path / str(digest), reader, options, plan_header(reader, options), salt=salt)
        rows = [one for shard in plan.shards for one in plan.rows(shard, salt)]
        assert len(rows) == len(archive.read().samples)
        assert {one["source_path"] is None for one in rows} == {salt is not None}


def test_shards_of_every_archive_name_nobody_under_a_salt(archive: Archive, tmp_path: Path) -> None:
    samples = archive.read().samples
    roots = open_source(archive.variant, archive.root, archive.test_source).roots
    unreadable = roots[samples["root"].iloc[0]] / samples["file"].iloc[0]
    (tmp_path / "salt").write_bytes(SALT)
    words = ["--short-side", "24", "--workers", "1", "--max-rejected", "0.5", "--hash-identifiers", f"{tmp_path}/salt"]
    if archive.test_source:
        words += ["--test-source", f"{archive.test_source}"]
    out = tmp_path / "out"
    with changed(unreadable, b""):
        words = ["build-shards", f"{archive.root}", f"{out}", "--dataset", archive.variant, "--name", "few", *words]
        result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert len(open_dataset(out).samples) == len(samples) - 1
    assert len((out / "rejected.csv").read_text().splitlines()) == 2
    columns = ("key", "patient_id", "source_path", "file")
    names = {name.encode() for column in columns for name in samples[column] if len(name) > 5}
    for file in sorted(out.iterdir()):
        content = file.read_bytes()
        assert not [name for name in names if name in content], file.name


def test_reading_twice_gives_the_same_and_a_changed_table_another_fingerprint(archive: Archive) -> None:
    one, two = (open_source(archive.variant, archive.root, archive.test_source) for _ in range(2))
    before = one.fingerprint()
    assert before == two.fingerprint()
    assert one.read().samples.equals(two.read().samples)
    file, content = next(iter(archive.files.items()))
    with changed(file, content + b"\n"):
        assert open_source(archive.variant, archive.root, archive.test_source).fingerprint() != before


def test_a_folder_of_something_else_is_an_error_that_says_what_was_looked_for(archive: Archive, tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DatasetError, match=str(source)):
            open_source(archive.variant, source)


NASTY = (
    *(b"", b"\0", b'"', b"'", b"\r", b"\n", b"\r\n", b",", b",,,,", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b"),
    *(
        b"..",
        b"../..",
        b"/etc/passwd",
        b"C:/x",
        b"\\",
        b"//",
        b"./",
        b"a/b/c.jpg",
        b"CheXpert-v1.0/",
        b"train",
        b"test",
    ),
    *(b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"1e999", b"2", b"-1", b"1.0", b"0" * 40, b"9" * 5000, b"=1+1"),
    *(
        b"[",
        b"]",
        b"{",
        b"[]",
        b"['a', \"b\"]",
        b"None",
        b"true",
        b"null",
        b"|",
        b"No Finding|",
        b" ",
        b"\t",
        b"x" * 200_000,
    ),
    *(b"\xed\xa0\x80", "\u2028".encode(), "\u202e".encode(), "\u0661".encode()),
)


@contextlib.contextmanager
def changed(file: Path, content: bytes) -> Iterator[None]:
    """The file with other content, for as long as the `with` lasts."""
    before = file.read_bytes()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)


def mutate(content: bytes, data: st.DataObject) -> bytes:
    """Content after a few changes of kinds that occur: bytes, cells, lines, cuts."""
    zipped = content[:2] == b"\x1f\x8b"
    content = gzip.decompress(content) if zipped else content
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        kind = data.draw(st.sampled_from(["insert", "bytes", "cell", "swap", "repeat", "drop", "cut", "flip"]))
        lines = content.split(b"\n")
        line = data.draw(st.integers(0, len(lines) - 1))
        if kind == "insert":
            content = content[:place] + data.draw(st.sampled_from(NASTY)) + content[place:]
        elif kind == "bytes":
            content = (
                content[:place] + data.draw(st.binary(max_size=20)) + content[place + data.draw(st.integers(0, 9)) :]
            )
        elif kind == "cell":
            cells = lines[line].split(b",")
            cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(st.sampled_from(NASTY))
            content = b"\n".join([*lines[:line], b",".join(cells), *lines[line + 1 :]])
        elif kind == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[line], lines[other] = lines[other], lines[line]
            content = b"\n".join(lines)
        elif kind == "repeat":
            content = b"\n".join([*lines, lines[line]])
        elif kind == "drop":
            content = b"\n".join([*lines[:line], *lines[line + 1 :]])
        elif kind == "cut":
            content = content[:place]
        elif place < len(content):
            content = (
                content[:place] + bytes([content[place] ^ (1 << data.draw(st.integers(0, 7)))]) + content[place + 1 :]
            )
    return gzip.compress(content, 1) if zipped != (data.draw(st.integers(0, 9)) == 0) else content


def read_and_check(archive: Archive) -> None:
    """Read; a DatasetError is as good as rows that keep every promise."""
    try:
        reader = open_source(archive.variant, archive.root, archive.test_source)
        reader.fingerprint()
        found = reader.read()
    except DatasetError:
        return
    hold_to_promises(found, reader.label_names)
    hashed = hash_identifiers(found, SALT)
    assert len(hashed.samples) == len(found.samples)
    assert len(hashed.rejected) == len(found.rejected)


@fuzz
@given(data=st.data())
def test_a_damaged_table_or_reading_gives_named_rejections_only(archive: Archive, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(archive.files)))
    with changed(file, mutate(archive.files[file], data)):
        read_and_check(archive)


@fuzz
@given(
    content=st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
    data=st.data(),
)
def test_arbitrary_bytes_for_a_table_or_after_its_header_give_named_rejections_only(
    archive: Archive, content: bytes, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(sorted(archive.files)))
    header = archive.files[file].partition(b"\n")[0] + b"\n" if data.draw(st.booleans()) else b""
    with changed(file, header + content):
        read_and_check(archive)
