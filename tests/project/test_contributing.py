"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the tree."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.project.tree import ROOT, copy_tree

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what git tracks or would track."""
    return copy_tree(tmp_path / "tree")


def section(heading: str) -> str:
    """The text below a heading of the second level; a heading in a block of code ends no section."""
    heading_of, lines, fenced = "", [], False
    for line in PAGE.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            heading_of = line.removeprefix("## ").strip()
        elif heading_of == heading:
            lines.append(line)
    assert lines, f"CONTRIBUTING.md has no section {heading!r}"
    return "".join(lines)


def code(text: str) -> str:
    """The one block of code in a section."""
    (block,) = re.findall(r"^```(?:python)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


def codes(text: str) -> list[str]:
    """The blocks of code in a section, in their order."""
    return re.findall(r"^```(?:python|markdown)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def insert_at_end(path: Path, table: str, line: str) -> None:
    """Write a line before the closing brace of a dictionary in a module."""
    before, opening, after = path.read_text(encoding="utf-8").partition(f"\n{table} = {{\n")
    assert opening, f"{path} has no {table}"
    entries, closing, rest = after.partition("\n}\n")
    path.write_text(f"{before}{opening}{entries}\n{line.rstrip()}{closing}{rest}", encoding="utf-8")


def python(tree: Path, program: str) -> str:
    """Run a program on the copied tree; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=tree, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_backbone_is_one_line_that_every_command_offers_and_uses(tree: Path) -> None:
    text = section("Add a backbone")
    line = code(text)
    assert len(line.splitlines()) == 1
    name = re.findall(r'Architecture\("(\w+)"', line)[0]
    (path,) = re.findall(r"`TABLE` of `([\w/.]+)`", text)
    lines = (tree / path).read_text(encoding="utf-8").splitlines(keepends=True)
    last = max(number for number, content in enumerate(lines) if content.lstrip().startswith("Architecture("))
    (tree / path).write_text("".join([*lines[: last + 1], line, *lines[last + 1 :]]), encoding="utf-8")
    tests = re.findall(r"-m pytest (.*)", text)[0].split()
    assert all((tree / path).exists() for path in tests)
    said = python(
        tree,
        f"""
        import json, sys
        from pathlib import Path
        from click.testing import CliRunner
        import training
        assert Path(training.__file__).is_relative_to({str(tree)!r}), training.__file__
        from evaluation.cli.main import main as cxr_eval
        from tests.shards.small_datasets import smooth_image
        from tests.training.labelled_shards import write_labelled_dataset
        from training.cli.main import main as cxr_train

        shards = write_labelled_dataset(Path("shards-made"), size=40).root
        small = ["--device", "cpu", "--threads", "1", "--image-size", "32"]

        def run(program, command, *words):
            result = CliRunner().invoke(program, [command, "--shards", str(shards), *small, *words])
            assert result.exit_code == 0, result.output

        run(cxr_train, "pretrain", "--backbone", {name!r}, "--init", "random", "--output", "run", "--epochs", "1",
            "--batch-size", "8", "--queue-size", "16")
        run(cxr_train, "probe", "--backbone-from", "run", "--labels", "Edema", "--output", "model", "--cache", "cache")
        run(cxr_train, "finetune", "--backbone-from", "random", "--backbone", {name!r}, "--labels", "Edema",
            "--output", "tuned", "--epochs", "1", "--min-steps", "1")
        run(cxr_eval, "embed", "--backbone-from", "run", "--output", "e.zarr")
        run(cxr_eval, "embed", "--backbone-from", "random", "--backbone", {name!r}, "--output", "r.zarr")
        import zarr
        from training.backbones.architectures import TABLE
        for group in ("e.zarr", "r.zarr"):
            assert zarr.open_group(group, mode="r")["features"].shape[1] == TABLE[{name!r}].features
        for folder in ("model", "tuned"):
            print(json.loads(Path(folder, "model.json").read_text())["architecture"])
        """,
    )
    assert said.split()[-2:] == [name, name]


def test_a_dataset_is_a_reader_a_line_a_miniature_and_a_section(tree: Path) -> None:
    text = section("Add a dataset")
    reader, line, miniature, entry, page = codes(text)
    (name,) = re.findall(r"`ingest/archives/<name>.py` \(here `<name>` is (\w+)\)", text)
    (tree / f"ingest/archives/{name}.py").write_text(reader, encoding="utf-8")
    insert_at_end(tree / "ingest/archives/source.py", "_READERS", line)
    with (tree / "tests/ingest/archives/archives_made.py").open("a", encoding="utf-8") as file:
        file.write("\n\n" + miniature)
    (table,) = re.findall(
        r"^(MINIATURES[^=\n]*) = \{$", (tree / "tests/ingest/archives/miniatures.py").read_text(encoding="utf-8"), re.M
    )
    insert_at_end(tree / "tests/ingest/archives/miniatures.py", table, entry)
    with (tree / "docs/datasets.md").open("a", encoding="utf-8") as file:
        file.write("\n" + page)
    (command,) = re.findall(r"-m pytest (tests/ingest/archives .*)", text)
    assert " passed" in python(
        tree,
        f"""
        import ingest, pytest, sys
        from pathlib import Path
        assert Path(ingest.__file__).is_relative_to({str(tree)!r}), ingest.__file__
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *{command.split()!r}]))
        """,
    )
    python(
        tree,
        """
        from pathlib import Path
        from click.testing import CliRunner
        from ingest.cli.main import main
        from shards.format.dataset import open_dataset
        from tests.ingest.archives.archives_made import write_hillside

        write_hillside(Path("hillside"))
        build = ["build-shards", "hillside", "data/hillside", "--dataset", "hillside"]
        for words in (build, ["verify", "data/hillside"]):
            result = CliRunner().invoke(main, words)
            assert result.exit_code == 0, result.output
        assert len(open_dataset(Path("data/hillside")).samples) == 8
        """,
    )
