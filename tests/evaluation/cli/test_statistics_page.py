"""The commands of docs/statistics.md, typed as they stand there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from evaluation.cli.main import main
from tests.evaluation.files import build_dataset, write_sidecar
from tests.project.test_docs import blocks, commands_in
from tests.project.tree import ROOT

LABELS = ["Edema", "Mass"]
PAGE = ROOT / "docs" / "statistics.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/chexpert, and the predictions that `cxr-eval predict` writes: study/valid.csv and study/test.csv."""
    generator = np.random.default_rng(0)
    rows = [
        {
            "key": f"{split}{number}",
            "patient_id": f"{split}{number // 2}",
            "study_id": f"study{number}",
            "split": split,
            "sex": ("female", "male")[number // 2 % 2],
            "age": 30 + number // 2 % 60,
            "projection": "frontal",
            "ap_pa": ("AP", "PA")[number % 2],
            **{label: float(generator.random() < 0.45) for label in LABELS},
        }
        for split in ("valid", "test")
        for number in range(240)
    ]
    dataset = build_dataset(tmp_path / "data" / "chexpert", rows, LABELS)
    (tmp_path / "study").mkdir()
    for split in ("valid", "test"):
        of_split = dataset.samples[dataset.samples["split"] == split]
        table = {"key": of_split["key"].to_numpy()}
        for label in LABELS:
            logits = generator.normal(size=len(of_split)) + 1.5 * of_split[label].to_numpy() - 0.7
            table[label] = 1 / (1 + np.exp(-logits))
        path = tmp_path / "study" / f"{split}.csv"
        pd.DataFrame(table).to_csv(path, index=False)
        write_sidecar(path, split=split, dataset=dataset.citation, model={"digest": "a" * 64}, aggregate="image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page_run_as_they_stand_there(folder: Path) -> None:
    ran = []
    for program, name, *words in commands_in(blocks(PAGE)):
        if program == "cxr-eval" and name != "predict":
            done = CliRunner().invoke(main, [name, *words])
            assert done.exit_code == 0, done.output
            ran.append(name)
    assert ran[:2] == ["thresholds", "bootstrap"]
    assert (folder / "study" / "decisions.json").is_file()
