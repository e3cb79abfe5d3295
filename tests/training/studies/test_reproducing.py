"""docs/reproducing.md, the shipped study file and the program say the same; the page's commands run to a report."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from recipes import shipped_recipes
from tests.project.test_docs import blocks, commands_in
from tests.project.tree import ROOT
from training.downstream.options import FinetuneOptions
from training.downstream.training_length import training_length
from training.studies.cells import cells_of, comparisons_of, runs_of
from training.studies.study_file import read_study

PAGE = ROOT / "docs" / "reproducing.md"
MOCO_CXR = shipped_recipes()["study_moco_cxr"]
BIN = Path(sys.executable).parent


def small_settings() -> dict[str, Any]:
    """The shipped study with the settings of a minute: every key of it, small images, a random start, few cells."""
    content: dict[str, Any] = copy.deepcopy(yaml.safe_load(MOCO_CXR.read_text(encoding="utf-8")))
    for dataset in content["datasets"].values():
        dataset["splits"] = dict.fromkeys(dataset["splits"])
    small = {"image_size": 32, "init": "random", "epochs": 1, "queue_size": 32, "batch_size": 16}
    content["pretraining"] = {"resnet18": content["pretraining"]["resnet18"] | small}
    content["methods"]["finetune"]["epochs"] = 1
    content["targets"][0]["fractions"], content["targets"][0]["draws"] = [0.5], 1
    content["targets"][1]["fractions"], content["targets"][1]["draws"] = [1.0], 1
    return content


def test_the_page_s_commands_run_to_a_report_with_a_name_for_the_phantoms_and_no_other_option(tmp_path: Path) -> None:
    shown = [command for command in commands_in(blocks(PAGE)) if "--dry-run" not in command]
    assert [command[:2] for command in shown] == [
        ["cxr-ingest", "build-shards"],
        ["cxr-ingest", "build-shards"],
        ["cxr-train", "sweep"],
        ["cxr-eval", "study"],
    ]

    def run(*words: str) -> None:
        command = [str(BIN / words[0]), *words[1:]]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"

    folder = tmp_path
    run("cxr-ingest", "make-phantom", "downloads", "--chexpert-patients", "60", "--shenzhen-images", "40")
    folder = tmp_path / "downloads"
    (folder / "study_moco_cxr.yaml").write_text(yaml.safe_dump(small_settings(), sort_keys=False))
    for command in shown:
        # What only looks like an archive has a name of its own.
        phantom = (
            ("--name", f"{command[command.index('--dataset') + 1]}-phantom") if command[1] == "build-shards" else ()
        )
        run(*command, *phantom)
    page = (folder / "study" / "report.html").read_text(encoding="utf-8")
    assert "Pleural Effusion" in page
    assert "Tuberculosis" in page
    gains = (folder / "study" / "tables" / "gains.csv").read_text().splitlines()
    assert len(gains) == 1 + 4


def test_the_page_counts_what_the_study_file_holds() -> None:
    text, study = " ".join(PAGE.read_text(encoding="utf-8").split()), read_study(MOCO_CXR)
    counts = (len(runs_of(study)), len(cells_of(study)), len(comparisons_of(study)))
    assert "{} pretraining runs, {} models, {} comparisons".format(*counts) in text
    assert f"{study.evaluation.replicates} replicates as in the paper" in text
    splits = study.datasets["chexpert"].splits
    assert f"| {20 * (splits['train'] or 0):,} |" in text
    assert f"| {sum(count or 0 for count in splits.values()):,} |" in text


def test_the_page_s_costs_are_those_of_the_study_file_s_options() -> None:
    study = read_study(MOCO_CXR)
    rows = re.findall(r"^\| fine-tuning at ([\d.]+) %.*?\| ([\d,]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    found = {float(percent) / 100: int(images.replace(",", "")) for percent, images in rows}
    train = study.datasets["chexpert"].splits["train"] or 0
    expected = {}
    for cell in cells_of(study):
        if cell.target.name == "effusion" and cell.method == "finetune":
            options = cell.options(study, data=Path(), output=Path())
            assert isinstance(options, FinetuneOptions)
            samples = -(-train * cell.fraction // 1)
            length = training_length(options, int(samples) // options.batch_size)
            expected[cell.fraction] = length.epochs * length.steps_per_epoch * options.batch_size
    assert found == expected


def test_the_page_holds_the_paper_s_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for row in (
        "| 0.1 % | 0.683 / 0.669 | 0.776 / 0.775 |",
        "| 100 % | 0.815 / 0.789 | 0.850 / 0.845 |",
        "| 0.1 % | 0.775 / 0.747 | 0.813 / 0.795 |",
        "| 1 % | 0.858 / 0.857 | 0.885 / 0.877 |",
        "| 10 % | 0.898 / 0.908 | 0.915 / 0.920 |",
        "| 100 % | 0.942 / 0.949 | 0.942 / 0.953 |",
    ):
        assert row in text


def test_the_cluster_scripts_take_any_study_file_and_name_no_protocol_of_their_own() -> None:
    for script in sorted((ROOT / "slurm").iterdir()):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"--(labels|label-fraction|draw|uncertain|epochs|lr)\b", text), script.name
