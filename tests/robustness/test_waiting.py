"""Commands that wait: SIGTERM and Ctrl-C end them within a second, and a file system that hangs is named."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from shards.input_files import STALL_VARIABLE
from tests.robustness.hanging_files import HANG, unmount
from tests.robustness.matrix import commands
from tests.robustness.weight_inputs import Inputs as Weights
from tests.shards.small_datasets import jpeg_of, smooth_image
from tests.training.labelled_shards import BACKBONE

SECOND = 1.0
IN_TIME = 4 * SECOND
"""By the clock of a machine that runs other tests too."""

ENTRY = {
    "cxr-ingest": "from ingest.cli.main import main",
    "cxr-train": "from training.cli.main import main",
    "cxr-eval": "from evaluation.cli.main import main",
}
NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C (SIGINT)"}
Inputs = dict[str, Path]

WAITING: dict[str, Callable[[Inputs, Path], tuple[str, ...]]] = {
    "verify": lambda i, out: ("cxr-ingest", "verify", str(i["shards"])),
    "preview": lambda i, out: ("cxr-ingest", "preview", str(i["shards"]), str(out / "page.png")),
    "info": lambda i, out: ("cxr-ingest", "info", str(i["shards"])),
    "bench-loader": lambda i, out: (
        *("cxr-train", "bench-loader", "--shards", str(i["shards"]), "--device", "cpu", "--threads", "1"),
        *("--image-size", "32", "--batch-size", "4", "--seconds", "600"),
    ),
    "embed": lambda i, out: (
        *("cxr-eval", "embed", "--shards", str(i["shards"]), "--device", "cpu", "--output", str(out / "x.zarr")),
        *map(str, BACKBONE),
    ),
    "predict": lambda i, out: (
        *("cxr-eval", "predict", "--shards", str(i["shards"]), "--model", str(i["probed"]), "--device", "cpu"),
        *("--output", str(out / "p.csv")),
    ),
    "build-shards": lambda i, out: (
        *("cxr-ingest", "build-shards", str(i["shards"]), str(out / "built"), "--dataset", "folder", "--name", "x"),
        *("--workers", "1", "--patient-from", "folder"),
    ),
    "embed, weights": lambda i, out: (
        *("cxr-eval", "embed", "--shards", str(i["labelled"]), "--device", "cpu", "--output", str(out / "x.zarr")),
        *("--backbone-from", str(i["shards"] / "weights.safetensors"), "--backbone", "resnet18"),
        *("--seen-patients", "none"),
    ),
    "export, a checkpoint": lambda i, out: (
        *("cxr-train", "export", str(i["shards"] / "run"), str(out / "exported"), "--allow-unfinished"),
    ),
    "report, a run": lambda i, out: ("cxr-eval", "report", str(i["shards"] / "run"), "--output", str(out / "r.html")),
}
"""The commands that read for long, and files of weights and of runs; each has them on the file system that hangs."""
HANGING = dict.fromkeys(WAITING, ".tar") | {
    **{"info": "samples.parquet", "build-shards": ".jpg", "embed, weights": "weights.safetensors"},
    **{"export, a checkpoint": ".pt", "report, a run": "config.yaml"},
}


@pytest.fixture(scope="module")
def hanging(
    labelled_root: Path, probed: Path, inputs: Weights, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Inputs]:
    """A dataset, an image, weights and a run on a file system of our own; a test makes it hang by the file `.hang`."""
    source, mounted = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("mounted")
    shutil.copytree(labelled_root, source, dirs_exist_ok=True)
    (source / "patient1").mkdir()
    (source / "patient1" / "a.jpg").write_bytes(jpeg_of(smooth_image(50, 60, 1)))
    shutil.copytree(inputs.folder / "run", source / "run")
    shutil.copy(inputs.folder / "run" / "start.safetensors", source / "weights.safetensors")
    (source / "run" / "backbone.json").unlink()  # as in a run that is not finished
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.robustness.hanging_files", source, mounted],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    if process.stdout.readline() != "mounted\n":
        pytest.skip("this user must not mount a file system")
    yield {"shards": mounted, "source": source, "probed": probed, "labelled": labelled_root}
    unmount(mounted)
    process.kill()
    process.wait()


@contextlib.contextmanager
def started(words: tuple[str, ...], **variables: str) -> Iterator["subprocess.Popen[str]"]:
    program = f"import sys; sys.argv[0] = {words[0]!r}; {ENTRY[words[0]]}; main(prog_name={words[0]!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores Ctrl-C
    )
    try:
        yield process
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)


def read_until(process: "subprocess.Popen[str]", part: str) -> str:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if part in line:
            return said
    pytest.fail(f"{part!r} was never said, but: {said}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("command", WAITING)
def test_a_command_whose_file_hangs_names_it_and_ends_within_a_second_of_a_signal(
    command: str, number: signal.Signals, hanging: Inputs, tmp_path: Path
) -> None:
    (hanging["source"] / HANG).write_text(HANGING[command])
    try:
        with started(WAITING[command](hanging, tmp_path), **{STALL_VARIABLE: "0.3"}) as process:
            read_until(process, f"{HANGING[command]} has not answered for")
            began = time.monotonic()
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
            assert time.monotonic() - began < IN_TIME
    finally:
        (hanging["source"] / HANG).unlink()
    assert process.returncode == -number, said
    assert f"{WAITING[command](hanging, tmp_path)[0]} {command.split(',')[0]}: ended by {NAMES[number]}" in said
    assert "Traceback" not in said
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if not any(part.startswith(".") for part in path.parts)]


def test_a_file_that_answers_again_is_said_to_and_is_read(tmp_path: Path) -> None:
    """A pipe, which is waited for until something is written."""
    program = (
        "import os, threading, time, logging, sys\n"
        "from pathlib import Path\n"
        "from shards.input_files import read_watched\n"
        "from shards.terminal.logs import log_to_terminal\n"
        "path = Path(sys.argv[1])\n"
        "def answer():\n"
        "    time.sleep(1.6)\n"
        "    path.write_bytes(b'content')\n"
        "threading.Thread(target=answer).start()\n"
        "with log_to_terminal():\n"
        "    print(read_watched(path))\n"
    )
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = subprocess.run(
        [sys.executable, "-c", program, pipe],
        capture_output=True,
        text=True,
        env={**os.environ, STALL_VARIABLE: "0.2"},
        check=True,
    )
    assert done.stdout == "b'content'\n"
    lines = done.stderr.splitlines()
    assert [line.split(" for ")[0] for line in lines[:-1]] == [f"Warning: {pipe} has not answered"] * (len(lines) - 1)
    assert 2 <= len(lines) - 1 <= 4, "after 0.2, 0.4, 0.8 and 1.6 s"
    assert lines[-1].startswith(f"Warning: {pipe} has answered after")


@pytest.mark.parametrize("moment", [0.6, 1.2, 2.0, 3.0])
@pytest.mark.parametrize("command", ["bench-loader", "embed", "preview", "verify"])
def test_a_signal_in_the_first_seconds_ends_a_command_with_its_own_status(
    command: str, moment: float, hanging: Inputs, tmp_path: Path
) -> None:
    (hanging["source"] / HANG).write_text(HANGING[command])
    try:
        with started(WAITING[command](hanging, tmp_path)) as process:
            time.sleep(moment)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
            assert time.monotonic() - began < IN_TIME
    finally:
        (hanging["source"] / HANG).unlink()
    assert process.returncode == -signal.SIGTERM
    assert "Traceback" not in said


@pytest.mark.parametrize("command", commands())
def test_every_command_is_ended_by_a_signal_with_a_sentence(command: str) -> None:
    """What it does is replaced by a wait: the work of some is over too soon to be met by a signal."""
    program, name = command.split()
    code = (
        f"{ENTRY[program]}; import time\n"
        f"def wait(context): print('waits', flush=True); time.sleep(60)\n"
        f"main.commands[{name!r}].invoke = wait\n"
        f"main.commands[{name!r}].params = []\n"
        f"main([{name!r}], prog_name={program!r})\n"
    )
    number = signal.SIGINT if len(name) % 2 else signal.SIGTERM
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"waits\n"
        process.send_signal(number)
        assert process.wait(IN_TIME) == -number
        said = process.stderr.read().decode()
    assert said == f"{command}: ended by {NAMES[number]}; no file stands half-written under its name.\n"


def said_when_terminated(code: str) -> bytes:
    """Send SIGTERM to a program once it says that it waits; what it says on stderr."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"waits\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(IN_TIME) == -signal.SIGTERM
        return process.stderr.read()


def test_a_library_that_never_comes_back_does_not_keep_a_command() -> None:
    """A handler in Python waits for the end of a call in C; the thread that hears of the signal does not."""
    code = (
        "import click, hashlib\n"
        "from shards.terminal.group import Group\n"
        "@click.group(cls=Group)\n"
        "def main(): pass\n"
        "@main.command()\n"
        "def count():\n"
        "    print('waits', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)\n"
        "main(['count'], prog_name='cxr')\n"
    )
    assert said_when_terminated(code).startswith(b"cxr count: ended by SIGTERM")


def test_a_library_that_makes_an_error_of_its_own_of_the_signal_shows_no_traceback() -> None:
    code = (
        "import click, time\n"
        "from shards.terminal.group import Group\n"
        "@click.group(cls=Group)\n"
        "def main(): pass\n"
        "@main.command()\n"
        "def load():\n"
        "    print('waits', flush=True)\n"
        "    try: time.sleep(60)\n"
        "    except BaseException: raise ImportError('numpy could not be imported')\n"
        "main(['load'], prog_name='cxr')\n"
    )
    assert said_when_terminated(code) == b"cxr load: ended by SIGTERM; no file stands half-written under its name.\n"
