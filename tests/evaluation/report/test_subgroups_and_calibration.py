"""What the page shows of subgroups and of calibration."""

import json
import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from evaluation.cli.main import main
from evaluation.report.page.render import write_report
from tests.evaluation.files import write_csv
from tests.evaluation.report.test_report import text_of


def write_judged(folder: Path) -> Path:
    """A result with subgroups (one of few, one not judged) and gaps, and a calibration, by the real commands."""
    generator = np.random.default_rng(0)
    rows = 600
    truth = (generator.random(rows) < 0.4).astype(int)
    wards = np.array(["large"] * 500 + ["few"] * 80 + ["tiny"] * 20)
    gain = np.where(np.arange(rows) < 500, 1.5, 0.0)
    scores = 1 / (1 + np.exp(-(generator.normal(size=rows) + gain * truth - 0.6)))
    ids = [f"k{row}" for row in range(rows)]
    for name, part in (("valid", slice(0, 300)), ("test", slice(0, rows))):
        prefix = [f"{name}{one}" for one in ids[part]]
        table = [list(row) for row in zip(prefix, wards[part], truth[part], strict=True)]
        write_csv(folder / f"{name}-truth.csv", ["key", "ward", "Edema <b>"], table)
        table = [list(row) for row in zip(prefix, scores[part] * 0.999, strict=True)]
        write_csv(folder / f"{name}.csv", ["key", "Edema <b>"], table)
    files = ["--labels", str(folder / "test-truth.csv"), "--model", str(folder / "test.csv")]
    valid = ["--labels", str(folder / "valid-truth.csv"), "--model", str(folder / "valid.csv")]
    judged = folder / "judged"
    for words in (
        ["thresholds", *valid, "--output", str(judged / "t.json")],
        ["bootstrap", *files, "--metric", "auroc,sensitivity", "--thresholds", str(judged / "t.json"), "--by", "ward",
         "--replicates", "400", "--output", str(judged / "r.json")],
        ["calibration", *files, "--bins", "5", "--output", str(judged / "c.json")],
    ):  # fmt: skip
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
    return judged


def test_subgroups_are_marked_and_only_clear_ones_of_many_are_bold_and_calibration_has_its_curve(
    tmp_path: Path,
) -> None:
    judged = write_judged(tmp_path)
    write_report(judged, tmp_path / "report.html", with_images=False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = text_of(page)
    groups = json.loads((judged / "r.json").read_text())["subgroups"]["ward"]
    assert (groups["few"]["few"], groups["tiny"]["not_judged"]) == (["Edema <b>"], ["Edema <b>"])
    assert "ward: few" in text
    assert "few of a class" in text
    assert "not judged: too few of a class" in text
    rest = {name: group["rest"]["labels"]["Edema <b>"]["model"] for name, group in groups.items()}
    assert rest["tiny"]["value"] is None
    assert max(rest["few"]["p_value"], rest["large"]["p_value"]) < 0.01
    bold = re.findall(r"<b>([+−][\d.]+)</b>", page)
    further = groups["large"]["metrics"]["sensitivity"]["rest"]["labels"]["Edema <b>"]["model"]
    assert bold == [f"{one['value']:+.3f}".replace("-", "−") for one in (rest["large"], further)]
    assert f"TPR {rest_gap(groups['large'])}" in text
    calibration = json.loads((judged / "c.json").read_text())["arms"]["model"]["Edema <b>"]
    assert "{:.3f} ({:.3f}, {:.3f})".format(calibration["slope"]["value"], *calibration["slope"]["ci"]) in text
    assert "Edema &lt;b&gt;: reliability" in page
    assert "Edema <b>" not in page


def rest_gap(group: dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]) -> str:
    return f"{group['gaps']['tpr']['Edema <b>']['model']['value']:+.3f}".replace("-", "−")
