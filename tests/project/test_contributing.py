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
    """A copy of the files that git tracks or would track."""
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


def test_a_metric_is_a_class_and_an_entry_that_the_bootstrap_offers(tree: Path) -> None:
    text = section("Add a metric")
    (path,) = re.findall(r"^1\. `([\w/<>.]+)`", text, re.MULTILINE)
    path = path.replace("<name>", re.findall(r"with `(\w+)` for <name>", text)[0])
    (tree / path).write_text(code(text), encoding="utf-8")
    name, metric = re.findall(r'`"(\w+)": (\w+)`', text)[0]
    table = tree / re.findall(r"`METRICS` of `([\w/.]+)`", text)[0]
    module = path.removesuffix(".py").replace("/", ".")
    content = table.read_text(encoding="utf-8")
    assert content.count("] = {") == 1
    content = content.replace("] = {", f'] = {{"{name}": {metric}, ').replace(
        "from evaluation.metrics.auroc", f"from {module} import {metric}\nfrom evaluation.metrics.auroc"
    )
    table.write_text(content, encoding="utf-8")
    python(
        tree,
        f"""
        import json
        import numpy as np, pandas as pd
        from click.testing import CliRunner
        from sklearn.metrics import accuracy_score
        from evaluation.cli.main import main as cxr_eval
        from {module} import {metric} as Metric

        generator = np.random.default_rng(0)
        rows, units = 60, 25
        truth, scores = generator.random(rows) < 0.4, np.round(generator.random(rows), 1)
        unit = np.concatenate([np.arange(units), generator.integers(0, units, rows - units)])
        counts = generator.poisson(1, (units, 7)).astype(np.int32)
        prepared = Metric(scores, truth, unit, units)
        for found, replicate in zip(prepared(counts), counts.T):
            repeated = np.repeat(np.arange(rows), replicate[unit])
            assert np.isclose(found, accuracy_score(truth[repeated], scores[repeated] >= 0.5))
        assert np.isnan(prepared(np.zeros((units, 1), np.int32))).all()
        alone = Metric(scores, truth, np.arange(rows), rows)
        without = alone((1 - np.eye(rows)).astype(np.int32))
        jackknife = (rows - 1) / rows * ((without - without.mean()) ** 2).sum()
        assert np.isclose((alone.influence().by_unit ** 2).sum(), jackknife)

        ids = [f"s{{number}}" for number in range(rows)]
        pd.DataFrame({{"key": ids, "Edema": truth.astype(int)}}).to_csv("truth.csv", index=False)
        pd.DataFrame({{"key": ids, "Edema": scores}}).to_csv("p.csv", index=False)
        words = ["--labels", "truth.csv", "--model", "p.csv", "--metric", {name!r}, "--replicates", "400"]
        result = CliRunner().invoke(cxr_eval, ["bootstrap", *words, "--output", "r.json"])
        assert result.exit_code == 0, result.output
        found = json.loads(open("r.json").read())["labels"]["Edema"]["arms"]["model"]["value"]
        assert np.isclose(found, accuracy_score(truth, scores >= 0.5))
        """,
    )
