"""One odd file never ends the page: twenty damaged files beside a good study, each named."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation.cli.report import report
from evaluation.report.page.render import render
from evaluation.report.study import collect
from shards.terminal.group import Group
from tests.evaluation.report.three_arms import Names, Size, build_three_arms

DEEP = "[" * 100_000
RESULT_KEYS = {"metric": 1, "replicates": 2, "level": 3, "unit": 4, "labels": 5, "mean": 6}
JSON = {
    "empty": "",
    "torn": '{"metric": "au',
    "binary": "\x00\x01\ud800",
    "latin": "\udce9",
    "deep": DEEP,
    "result_of_numbers": json.dumps({"format_version": 2, **RESULT_KEYS}),
    "result_of_version_9": json.dumps({"format_version": 9, **RESULT_KEYS}),
    "result_of_no_version": json.dumps(RESULT_KEYS),
    "calibration_of_version_9": json.dumps({"kind": "calibration", "format_version": 9}),
    "calibration_of_numbers": json.dumps({"kind": "calibration", "format_version": 1, "arms": {"model": 3}}),
    "curves_of_version_9": json.dumps({"kind": "curves", "format_version": 9}),
    "curves_of_numbers": json.dumps({"kind": "curves", "format_version": 1, "grid": 3}),
}
MODELS = {"model_list": "[]", "model_empty": "{}", "model_torn": "{", "model_null": "null"}
METRICS = {
    "metrics_torn": '{"step": 1, "loss": 2}\n{"step": \n{"step": 3}\n',
    "metrics_binary": "\x00\udcff\n",
    "metrics_words": '{"step": "one", "epoch": "one", "loss": {"a": 1}, "valid_auroc": []}\n[1]\nnull\n',
}
CONFIGS = {
    "yaml_torn": "a: [1",
    "yaml_list": "- 1\n- 2\n",
    "yaml_binary": "\x00",
    "yaml_tag": "!!python/object:os.x {}",
}
MEANS = {"means_words": "method,value\nprobe,much\n", "means_binary": "\x00", "means_torn": 'a,"b'}
LAST = {"last_list": "[1]", "last_words": '{"step": "x", "epoch": null, "finished": "no"}'}


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "surrogatepass"))
    return path.name


def damage(root: Path) -> list[str]:
    """Write them; the names by which the page must speak of them."""
    named = []
    for name, text in JSON.items():
        write(root / "results" / f"{name}.json", text)
        named.append(f"{name}.json")
    for name, text in MEANS.items():
        write(root / name / "means.csv", text)
        named.append(f"{name}/means.csv")
    for name, text in MODELS.items():
        write(root / name / "model.json", text)
        named.append(f"{name}/model.json")
    for name, text in METRICS.items():
        write(root / name / "metrics.jsonl", text)
        named.append(name)
    for name, text in CONFIGS.items():
        write(root / name / "config.yaml", text)
        write(root / name / "metrics.jsonl", "")
        named.append(f"{name}/config.yaml")
    for name, text in LAST.items():
        write(root / name / "last.json", text)
        write(root / name / "config.yaml", "backbone: resnet18\n")
        named.append(f"{name}/last.json")
    return named


def test_twenty_damaged_files_beside_a_good_study_are_each_named_and_the_rest_is_shown(
    study_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "study"
    shutil.copytree(study_folder / "results", root / "results")
    shutil.copytree(study_folder / "pretrain", root / "pretrain")
    named = damage(root)
    assert len(named) >= 20
    done = CliRunner().invoke(
        Group(commands=[report]), ["report", str(root), "--output", str(tmp_path / "r.html"), "--with-images"]
    )
    assert done.exit_code == 0, (done.output, done.exc_info)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert [name for name in named if name not in page] == []
    assert "mean over labels" in page
    assert "finished after 1,200 steps" in page


@pytest.mark.parametrize("picture", [b"", b"no picture"])
def test_a_two_view_sheet_that_is_no_picture_does_not_end_the_page(
    study_folder: Path, tmp_path: Path, picture: bytes
) -> None:
    root = tmp_path / "study"
    shutil.copytree(study_folder / "pretrain", root / "pretrain")
    (root / "pretrain" / "moco" / "two_views.png").write_bytes(picture)
    words = ["report", str(root), "--output", str(tmp_path / "r.html"), "--with-images"]
    done = CliRunner().invoke(Group(commands=[report]), words)
    assert done.exit_code == 0, done.output


def leaves(content: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all values of a JSON, inner ones too."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from leaves(value, (*path, key))


@pytest.fixture(scope="module")
def good_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/ of three arms: bootstrap, curves with readers, and calibration."""
    folder = tmp_path_factory.mktemp("good")
    names = Names(labels=("Edema",))
    return build_three_arms(folder, names, Size(rows=60, units=40)) / "results"


@pytest.mark.parametrize("name", ["r1.0.json", "r1.0-curves.json", "c.json"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_result_with_any_one_value_changed_is_shown_or_named_and_ends_no_page(
    good_results: Path, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    content = json.loads((good_results / name).read_text())
    *outer, last = data.draw(st.sampled_from(list(leaves(content))))
    place = content
    for key in outer:
        place = place[key]
    odd = [None, True, -1, 10**400, 1e308, "x" * 300, "\u202e<b>", [], [1], {}, {"a": None}]
    place[last] = data.draw(st.sampled_from(odd))
    root = tmp_path_factory.mktemp("odd")
    (root / name).write_text(json.dumps(content))
    shutil.copy(good_results / "r0.1.json", root / "good.json")
    page = render(collect(root), with_images=False)
    assert "MoCo" in page
    assert "<b>" not in page.replace("<b>+", "").replace("<b>−", "")
