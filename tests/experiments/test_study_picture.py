"""The picture of a study shows every arm at every fraction of its gains.csv, and says so where there is nothing."""

import csv
from pathlib import Path

from click.testing import CliRunner

from evaluation.statistics.result import Value
from experiments.study_picture import main, panels_of, picture

COLUMNS = ("dataset", "label", "method", "fraction", "backbone", "arm", "reference", "metric")
VALUES = tuple(f"{of}{end}" for of in ("arm_", "reference_") for end in ("value", "ci_low", "ci_high"))


def gains(path: Path) -> Path:
    rows: list[tuple[str, ...]] = [(*COLUMNS, *VALUES)]
    for dataset, label in (("siim", "Pneumonia"), ("delhi", "Tuberculosis")):
        for fraction in ("1.0", "0.01"):
            for arm, value in (("moco", "0.8"), ("lightly", "0.75")):
                of = (dataset, label, "probe", fraction, "net", arm, "start", "auroc")
                rows.append((*of, value, "0.7", "0.9", "0.6", "", ""))
    rows.append(("siim", "Pneumonia", "finetune", "1.0", "net", "moco", "start", "auroc", *["0.1"] * 6))
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_panel_has_the_reference_and_each_arm_at_every_fraction(tmp_path: Path) -> None:
    panels = panels_of(gains(tmp_path / "gains.csv"), "net", "start", "probe")
    assert list(panels) == ["siim, Pneumonia", "delhi, Tuberculosis"]
    rows = panels["siim, Pneumonia"]
    assert sorted(row.fraction for row in rows) == [0.01, 1.0]
    arms = {"start": Value(0.6), "moco": Value(0.8, (0.7, 0.9)), "lightly": Value(0.75, (0.7, 0.9))}
    assert all(row.arms == arms for row in rows)
    drawn = picture(panels)
    assert [axes.get_title() for axes in drawn.axes] == list(panels)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["start", "moco", "lightly"]


def test_the_command_writes_the_same_svg_again_and_refuses_a_backbone_without_rows(tmp_path: Path) -> None:
    table = str(gains(tmp_path / "gains.csv"))
    for name in ("one.svg", "two.svg"):
        done = CliRunner().invoke(main, [table, str(tmp_path / name), "--backbone", "net"])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    refused = CliRunner().invoke(main, [table, str(tmp_path / "three.svg"), "--backbone", "other"])
    assert refused.exit_code == 1
    assert "no row has backbone other, reference start and method probe" in refused.output
    assert not (tmp_path / "three.svg").exists()
