"""Every command says what it reads and writes, stands in the documentation, and takes the shipped recipes."""

import re
import shlex
from pathlib import Path

import click
import pytest

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from recipes import recipe_command, shipped_recipes
from shards.terminal.recipes import read_recipe
from tests.project.tree import ROOT, tracked_files
from training.cli.main import main as cxr_train

PROGRAMS: dict[str, click.Group] = {"cxr-ingest": cxr_ingest, "cxr-train": cxr_train, "cxr-eval": cxr_eval}
COMMANDS = {
    f"{program} {name}": command for program, group in PROGRAMS.items() for name, command in group.commands.items()
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = sorted((ROOT / "slurm").glob("*.s*"))


def test_the_commands_of_the_design_are_there() -> None:
    assert set(COMMANDS) >= {
        *(f"cxr-ingest {name}" for name in ("make-phantom", "build-shards", "finalize", "verify", "info", "preview")),
        *(f"cxr-train {name}" for name in ("pretrain", "probe", "finetune")),
        *(f"cxr-eval {name}" for name in ("embed", "predict", "bootstrap", "report")),
    }


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_says_what_it_reads_and_what_it_writes(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert re.search(r"\b(reads?|from)\b", text, re.IGNORECASE), f"{name} --help names no input"
    assert re.search(r"\b(writes?|saves?)\b", text, re.IGNORECASE), f"{name} --help names no output"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_in_the_readme_or_in_docs(name: str) -> None:
    assert any(name in page.read_text(encoding="utf-8") for page in PAGES), f"{name} is in no page of {PAGES}"


def commands_in(text: str) -> list[list[str]]:
    """Lines of a page or a script that call one of our programs, as words; continued lines are joined."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r"^[^#`|\n]*?\b(cxr-(?:ingest|train|eval) +[a-z-]+\b[^\n`|]*)", joined, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


def blocks(page: Path) -> str:
    """The indented and fenced code of a page, without its prose."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^    .*\n?)+", text, re.MULTILINE)
    return "\n".join(fenced + indented)


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS], ids=lambda path: path.name)
def test_commands_that_are_shown_have_the_options_that_are_shown(path: Path) -> None:
    text = path.read_text(encoding="utf-8") if path in SCRIPTS else blocks(path)
    for program, name, *words in commands_in(text):
        command = COMMANDS.get(f"{program} {name}")
        assert command, f"{path.name}: there is no {program} {name}"
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        shown = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert shown <= known, f"{path.name}: {program} {name} has no {sorted(shown - known)}"


def test_commands_are_found_in_code_and_not_in_prose(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Use cxr-eval report --nonsense.\n\n    srun cxr-train probe \\\n      --draw 1  # why --not\n")
    assert commands_in(blocks(page)) == [["cxr-train", "probe", "--draw", "1"]]


def test_recipes_are_shipped() -> None:
    assert {"moco_cxr_resnet18", "moco_cxr_densenet121"} <= set(shipped_recipes())


@pytest.mark.parametrize("recipe", sorted(name for name in shipped_recipes() if recipe_command(name) != "sweep"))
def test_a_recipe_gives_options_that_its_command_has_with_values_that_it_takes(recipe: str) -> None:
    """A recipe is one of `cxr-train pretrain`, unless its name begins with another command's."""
    name = next((name for name in cxr_train.commands if recipe.startswith(name)), "pretrain")
    command = cxr_train.commands[name]
    required = [p for p in command.params if p.required and isinstance(p, click.Option)]
    arguments = [word for p in required for word in (p.opts[0], "x")]
    context = command.make_context(name, ["--config", recipe, *arguments])
    for option, value in read_recipe(recipe).items():
        parameter = option.replace("-", "_")
        assert context.get_parameter_source(parameter) is click.core.ParameterSource.DEFAULT_MAP
        converted = context.params[parameter]
        assert converted == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES], ids=lambda page: page.name)
def test_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    quoted = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    folders = tuple(f"{name}/" for name in sorted({path.split("/")[0] for path in tracked_files() if "/" in path}))
    paths = [name for name in quoted if name.startswith(folders) and not re.search(r"[<>*{ ]", name)]
    missing = [name for name in paths if not (ROOT / name).exists()]
    missing += [name for name in linked if not (page.parent / name).exists()]
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tests = [name for name in quoted if re.fullmatch(r"test_\w+", name)]
    missing += [name for name in tests if f"def {name}(" not in code]
    assert not missing, f"{page.name} names what is not there: {missing}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings: lower case, spaces to hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda page: page.name)
def test_a_link_to_a_heading_finds_it(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in anchors(page.parent / target if target else page), f"{page.name}: no heading {target}#{anchor}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_a_page_is_reached_from_the_readme(page: Path) -> None:
    assert f"({page.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")


PRIVATE = r"flows? in\b|flows? out\b|knows nothing|goes on\b|begins anew|skips? aloud|type it again|\bwhom |\bof what\b"


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda page: page.name)
def test_a_page_has_no_word_of_a_private_language(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert not re.findall(rf"(?i).{{30}}(?:{PRIVATE}).{{10}}", text)
