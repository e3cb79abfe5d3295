"""A file is its old self or its new self, whole, whatever interrupts the writer."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from shards.durable import write_atomically, write_json_atomically


def test_a_written_file_has_its_content_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with write_atomically(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_that_has_the_old_file_open_keeps_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        with write_atomically(path) as file:
            file.write(b"newer")
        assert reader.read() == b"old"  # renamed over, not written over
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with write_atomically(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    program = """
        import os, signal, sys
        from pathlib import Path
        from shards.durable import write_atomically

        with write_atomically(Path(sys.argv[1])) as file:
            file.write(b"half" * 100_000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path)])
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = set(tmp_path.iterdir()) - {path}
    assert left.name.startswith(".file.bin.")  # no shard, parquet or JSON under its name: nobody reads it
    assert left.name.endswith(".tmp")


def test_two_processes_writing_one_file_do_not_tear_it(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with write_atomically(path) as ours:
        ours.write(b"ours")
        program = "import sys; from pathlib import Path; from shards.durable import write_atomically\n"
        program += "with write_atomically(Path(sys.argv[1])) as file: file.write(b'theirs')"
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
        assert path.read_bytes() == b"theirs"
    assert path.read_bytes() == b"ours"


def test_a_written_file_has_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with write_atomically(tmp_path / "file.bin") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "file.bin").stat().st_mode & 0o777 == 0o640


def test_json_ends_in_a_newline_and_keeps_letters_as_they_are(tmp_path: Path) -> None:
    write_json_atomically(tmp_path / "a.json", {"größe": [1, None]})
    text = (tmp_path / "a.json").read_bytes().decode()
    assert text == '{\n  "größe": [\n    1,\n    null\n  ]\n}\n'
    assert json.loads(text) == {"größe": [1, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_a_nan_and_the_old_file_stays(tmp_path: Path, value: float) -> None:
    write_json_atomically(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomically(tmp_path / "a.json", value)
    assert (tmp_path / "a.json").read_text() == "1\n"
