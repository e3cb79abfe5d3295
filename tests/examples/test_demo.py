"""The demo shows other phantoms than those that its settings were chosen on, and its study file and page say which."""

import re
from pathlib import Path

from examples.demo import gains, main
from recipes import shipped_recipes
from training.studies.study_file import read_study

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "experiments" / "demo-gain.md"
DRAWN = re.compile(r"(chosen|shown) on +cxr-ingest make-phantom phantom (.*)")


def commands_of_the_study_file() -> dict[str, dict[str, int]]:
    """By chosen and shown: the options of the phantoms, as the study file's comment has them."""
    found = {}
    for word, options in DRAWN.findall(shipped_recipes()["study_demo"].read_text(encoding="utf-8")):
        words = options.split()
        found[word] = {name.removeprefix("--"): int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    return found


def test_the_demo_draws_the_phantoms_that_its_study_file_says_it_shows() -> None:
    defaults = {option.opts[0].removeprefix("--"): option.default for option in main.params if option.name != "out"}
    assert commands_of_the_study_file()["shown"] == defaults


def test_its_settings_were_chosen_on_phantoms_of_another_seed() -> None:
    commands = commands_of_the_study_file()
    assert commands["chosen"]["seed"] != commands["shown"]["seed"]
    assert commands["chosen"]["chexpert-patients"] == commands["shown"]["chexpert-patients"]
    text = PAGE.read_text(encoding="utf-8")
    for seed in (commands["chosen"]["seed"], commands["shown"]["seed"]):
        assert re.search(rf"\bseed {seed}\b", text)


def test_the_page_has_a_gain_for_each_finding_at_the_lowest_fraction() -> None:
    study = read_study(shipped_recipes()["study_demo"])
    (findings,) = (target for target in study.targets if target.name == "findings")
    lowest = f"{100 * min(findings.fractions):g} %"
    shown = PAGE.read_text(encoding="utf-8").split("## What seed 0 showed")[1].split("\n## ")[0]
    for label in findings.labels:
        row = next(line for line in shown.splitlines() if f"| {lowest} | {label} |" in line)
        assert re.search(r"\| [+-]0\.\d{3} \([+-]0\.\d{3}, [+-]0\.\d{3}\) \|$", row)


def test_gains_are_printed_with_their_intervals(tmp_path: Path) -> None:
    table = tmp_path / "gains.csv"
    table.write_text(
        "target,label,method,fraction,value,ci_low,ci_high\n"
        "findings,Edema,probe,0.05,0.1,0.05,0.15\n"
        "findings,Edema,probe,1.0,,,\n",
        encoding="utf-8",
    )
    head, first, second = gains(table)
    assert head.split() == ["method", "target", "label", "fraction", "gain", "(95", "%", "interval)"]
    assert first.endswith("0.05  +0.100 (+0.050, +0.150)")
    assert second.endswith("1.0  undefined")
