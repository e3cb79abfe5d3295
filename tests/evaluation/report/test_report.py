"""`cxr-eval report`: what the page says of full, partial and empty folders."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evaluation.cli.report import report
from evaluation.report.page.render import write_report
from evaluation.report.study import ReportError, collect
from shards.terminal.group import Group
from tests.evaluation.files import write_csv
from tests.evaluation.study import DRAWS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(Group(commands=[report]), ["report", *map(str, arguments)])


class _Page(HTMLParser):
    """What a page asks for from elsewhere, its ids, and its tags left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.asked += [str(named[name]) for name in ("src", "href", "xlink:href") if name in named]
        self.ids += [str(named["id"])] if "id" in named else []
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(report_file: Path) -> str:
    return report_file.read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """The page's words, tags and repeated blanks left out."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.split("</head>")[1])).replace("&#39;", "'")


def test_the_page_asks_for_nothing_from_elsewhere_and_is_well_formed(page: str) -> None:
    parsed = _Page(page)
    assert all(asked.startswith("#") for asked in parsed.asked)
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert not parsed.open
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {asked[1:] for asked in parsed.asked} <= set(parsed.ids)


def test_the_table_of_gains_repeats_the_results_to_three_decimals(page: str, study_folder: Path) -> None:
    content = json.loads((study_folder / "results" / "chexpert-probe-1.json").read_text())
    text = text_of(page)
    for entry in (content["mean"], *content["labels"].values()):
        difference = entry["differences"]["model"]
        assert "{:+.3f} ({:+.3f}, {:+.3f})".format(difference["value"], *difference["ci"]).replace("-", "−") in text
        assert "{:.3f} ({:.3f}, {:.3f})".format(entry["arms"]["model"]["value"], *entry["arms"]["model"]["ci"]) in text


def test_only_differences_whose_interval_excludes_zero_are_bold(page: str, study_folder: Path) -> None:
    bold: set[str] = set()
    plain: set[str] = set()
    for path in (study_folder / "results").iterdir():
        content = json.loads(path.read_text())
        entries = [*content["labels"].values(), *([content["mean"]] if len(content["labels"]) > 1 else [])]
        for difference in (entry["differences"]["model"] for entry in entries):
            low, high = difference["ci"]
            value = f"{difference['value']:+.3f}".replace("-", "−")
            (bold if low > 0 or high < 0 else plain).add(value)
    shown_bold = set(re.findall(r"<b>([+−][\d.]+)</b>", page))
    shown_plain = set(re.findall(r'<td class="number">([+−][\d.]+) <span', page))
    assert plain, "the study should hold a difference that is not clear"
    assert (shown_bold, shown_plain) == (bold, plain)


def test_the_page_says_plainly_what_it_does_not_show(page: str) -> None:
    text = text_of(page)
    assert "95 % intervals in which patients vary. Bootstrap intervals come from 400 replicates" in text
    assert "the variation between draws is in their intervals" in text
    assert "All pretraining here has one seed (0)" in text
    assert "The ImageNet arm was not run" in text
    assert "not corrected for the number of comparisons" in text
    assert text.count("not run") >= 36  # the ImageNet cell of every row


def test_runs_finished_and_unfinished_are_shown_as_such(page: str) -> None:
    text = text_of(page)
    assert "finished after 1,200 steps, 20 epochs" in text
    assert "unfinished: its newest checkpoint is of step 400" in text
    assert "Not finished when this page was made: pretrain/moco-densenet." in text
    assert "torch 2.14.1" in text


def test_the_page_holds_no_path_of_the_machine(page: str, study_folder: Path) -> None:
    assert "somewhere" not in page
    assert str(study_folder.parent) not in page


def test_datasets_are_shown_with_digest_and_counts(page: str, study_folder: Path) -> None:
    text = text_of(page)
    for dataset in collect(study_folder).datasets:
        assert dataset.digest[:16] in text
    assert "60 20 180 130" in text  # CheXpert's images by split, and patients
    assert "40 none 120 80" in text


def test_names_are_text_never_markup(page: str) -> None:
    assert "<b>study" not in page
    assert "<h1><bdi>a &lt;b&gt;study</bdi></h1>" in page


def test_pictures_are_there_only_when_asked_for(page: str, study_folder: Path, tmp_path: Path) -> None:
    assert "data:image" not in page
    assert "--with-images" in page
    write_report(study_folder / "pretrain", tmp_path / "report.html", with_images=True)
    with_images = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert with_images.count("data:image/png;base64,") == 1


def test_there_is_a_figure_for_each_label_method_and_curve(page: str) -> None:
    fractions = (1 + 5) * 2 + 1 * 2
    runs = 2 * 5 + 1  # the curves of each, and both runs side by side
    tuning = 2 * 3 * 2
    forests = (1 + 5) + 1  # a plot a label of each dataset
    assert page.count("<svg") == fractions + forests + runs + tuning
    assert page.count(">training labels<") == fractions
    for tick in ("1 %", "10 %", "100 %", "6.25 %"):
        assert f">{tick}<" in page


def test_models_are_averaged_over_draws(page: str) -> None:
    text = text_of(page)
    assert re.search(
        rf"shenzhen linear probe 25 % MoCo resnet18, seed 0 {DRAWS} 15 no validation split 0\.\d{{3}} "
        r"C 0\.01 to 1, by cross-validation Tuberculosis",
        text,
    )
    assert "epoch 3 to 5, on validation patients" in text
    assert "Where the epoch was selected on the validation split, AUROC on validation is optimistic." in text


def test_the_rows_of_a_label_name_their_backbone_and_run(page: str) -> None:
    assert re.search(r"Tuberculosis resnet18, seed 0; \d+ images", text_of(page))


def test_the_command_says_what_it_found(study_folder: Path, tmp_path: Path) -> None:
    done = run(study_folder / "pretrain", "--output", tmp_path / "new" / "report.html")
    assert done.exit_code == 0, done.output
    assert "0 results, 0 models and 2 pretraining runs" in done.output
    assert (tmp_path / "new" / "report.html").is_file()


def test_a_run_that_has_only_begun_is_enough_for_a_page(study_folder: Path, tmp_path: Path) -> None:
    begun = tmp_path / "study" / "run"
    begun.mkdir(parents=True)
    shutil.copy(study_folder / "pretrain" / "moco" / "config.yaml", begun)
    (begun / "patients.parquet").write_bytes(b"")
    write_report(tmp_path / "study", tmp_path / "report.html", with_images=True)
    text = text_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "run unfinished: it has no checkpoint yet" in text
    assert "No metrics have been written yet" in text
    assert "no result of cxr-eval bootstrap in this folder yet" in re.sub(r"\s+", " ", text)


def test_a_run_may_be_the_folder_itself_and_is_called_by_its_name(study_folder: Path) -> None:
    study = collect(study_folder / "pretrain" / "moco")
    assert [run.name for run in study.runs] == ["moco"]


def test_an_interrupted_fine_tuning_is_shown_as_unfinished(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study" / "tuned").mkdir(parents=True)
    shutil.copy(
        study_folder / "models" / "shenzhen-finetune-moco-100-draw0" / "metrics.jsonl", tmp_path / "study" / "tuned"
    )
    write_report(tmp_path / "study", tmp_path / "report.html", with_images=False)
    assert "Not finished when this page was made: tuned." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_result_alone_is_enough_for_a_page(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    content = json.loads((study_folder / "results" / "shenzhen-probe-100.json").read_text())
    for files in content["inputs"]["arms"].values():
        for file in files:
            file["sidecar"] = None
    (tmp_path / "study" / "other.json").write_text(json.dumps(content))
    write_report(tmp_path / "study", tmp_path / "report.html", with_images=False)
    text = text_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Other comparisons" in text
    assert "other.json AUROC Tuberculosis" in text


def test_an_undefined_auroc_is_a_word(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    content = json.loads((study_folder / "results" / "shenzhen-probe-100.json").read_text())
    nothing = {"value": None, "ci": None}
    entry = content["labels"]["Tuberculosis"]
    entry |= {"arms": {"model": nothing, "baseline": nothing}, "undefined_replicates": 400}
    entry["differences"] = {"model": {**nothing, "p_value": None}}
    (tmp_path / "study" / "r.json").write_text(json.dumps(content))
    write_report(tmp_path / "study", tmp_path / "report.html", with_images=False)
    text = text_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert text.count("undefined") >= 3
    assert "AUROC is undefined" in text


def test_a_dataset_without_a_test_split_is_named_and_validation_is_not_shown_as_test(
    study_folder: Path, tmp_path: Path
) -> None:
    for path in (study_folder / "models").glob("*-probe-*/model.json"):
        described = json.loads(path.read_text())
        for of_label in described["results"].values():
            of_label["test"] = None
        (tmp_path / "study" / path.parent.name).mkdir(parents=True)
        (tmp_path / "study" / path.parent.name / "model.json").write_text(json.dumps(described))
    write_report(tmp_path / "study", tmp_path / "report.html", with_images=False)
    text = text_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Without a test split: chexpert and shenzhen." in text
    assert text.count("no test split") == 2 * 3 * 2  # datasets, fractions, arms


def test_a_torn_result_is_named_and_the_rest_is_shown(study_folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "results").mkdir(parents=True)
    shutil.copy(study_folder / "results" / "shenzhen-probe-100.json", study / "results")
    (study / "results" / "chexpert-probe-1.json").write_text('{"metric": "au')
    done = run(study, "--output", tmp_path / "report.html")
    assert done.exit_code == 0
    assert "results/chexpert-probe-1.json cannot be read" in done.output
    assert (
        "Could not be read and are left out: results/chexpert-probe-1.json." in (tmp_path / "report.html").read_text()
    )


@pytest.mark.parametrize("file", ["model.json", "last.json", "backbone.json"])
def test_a_record_of_another_kind_is_named_and_the_rest_is_shown(study_folder: Path, tmp_path: Path, file: str) -> None:
    for name in ("models/shenzhen-probe-moco-100-draw0", "pretrain/moco"):
        shutil.copytree(study_folder / name, tmp_path / "study" / name)
    (path,) = (tmp_path / "study").rglob(file)
    content = json.loads(path.read_text()) | {"train_samples": "many", "step": "last", "provenance": {"datasets": 3}}
    path.write_text(json.dumps(content))
    write_report(tmp_path / "study", tmp_path / "report.html", with_images=False)
    shown = path.relative_to(tmp_path / "study")
    assert f"Could not be read and are left out: {shown}." in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("version", [None, 3])
def test_a_result_of_another_version_is_listed_and_not_read(
    study_folder: Path, tmp_path: Path, version: int | None
) -> None:
    study = tmp_path / "study"
    study.mkdir()
    shutil.copy(study_folder / "results" / "shenzhen-probe-100.json", study / "read.json")
    content = json.loads((study / "read.json").read_text())
    del content["format_version"]
    (study / "other.json").write_text(
        json.dumps(content if version is None else {"format_version": version, **content})
    )
    done = run(study, "--output", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    assert "1 results" in done.output
    assert f"other.json (result format version {version or 1}, this program reads version 2)" in done.output
    text = text_of((tmp_path / "report.html").read_text())
    assert f"Results that are not read: other.json (result format version {version or 1}" in text


def test_the_page_is_never_written_over_what_it_is_made_of(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    result = tmp_path / "study" / "result.json"
    shutil.copy(study_folder / "results" / "shenzhen-probe-100.json", result)
    before = result.read_bytes()
    done = run(tmp_path / "study", "--output", result)
    assert done.exit_code == 1
    assert "result.json is there and is no HTML page" in done.output
    assert result.read_bytes() == before
    for _ in range(2):  # an earlier page is replaced
        assert run(tmp_path / "study", "--output", tmp_path / "study" / "report.html").exit_code == 0


def test_patients_seen_in_training_are_pointed_out(study_folder: Path, tmp_path: Path) -> None:
    content = json.loads((study_folder / "results" / "shenzhen-probe-100.json").read_text())
    content["inputs"]["arms"]["model"][0]["sidecar"]["seen_patients"] = 4
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "seen.json").write_text(json.dumps(content))
    write_report(tmp_path / "study", tmp_path / "report.html", with_images=False)
    assert "had seen patients they were tested on, by request: seen.json" in (tmp_path / "report.html").read_text()


def test_the_results_over_another_arm_come_after_those_over_the_study_s_reference(
    study_folder: Path, tmp_path: Path
) -> None:
    one = collect(study_folder).results[0]
    names = ["tiny-probe-0.5-over-start.json", "tiny-probe-0.5.json", "tiny-probe-1.0.json"]
    for name in names:
        shutil.copy(study_folder / one.name, tmp_path / name)
    assert [result.name for result in collect(tmp_path).results] == [names[1], names[0], names[2]]


def test_a_folder_without_anything_to_report_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "study" / "truth.csv", ["key", "x"], [["a", 1]])
    (tmp_path / "study" / "some.json").write_text("{}")
    with pytest.raises(ReportError, match=r"holds no run .* and no result of `cxr-eval bootstrap`"):
        collect(tmp_path / "study")
    done = run(tmp_path / "study", "--output", tmp_path / "report.html")
    assert done.exit_code == 1
    assert not (tmp_path / "report.html").exists()


def test_results_of_other_metrics_stand_in_no_table_of_auroc(study_folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    content = json.loads((study_folder / "results" / "shenzhen-probe-100.json").read_text())
    metric = {"labels": content["labels"], "mean": content["mean"], "holm_family": None}
    (study / "both.json").write_text(json.dumps({**content, "metrics": {"ap": metric}}))
    (study / "brier.json").write_text(json.dumps({**content, "metric": "brier"}))
    write_report(study, tmp_path / "report.html", with_images=False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = text_of(page)
    assert "both.json average precision Tuberculosis" in text
    assert "brier.json Brier score (lower is better) Tuberculosis" in text
    assert page.count('<table class="gains">') == 1
    assert text.count("linear probe, 100 %") == 1


@pytest.mark.parametrize(("change", "said"), [("units", "only 29"), ("positives", "fewer than 10 of a class")])
def test_what_is_weak_is_marked_and_never_bold(study_folder: Path, tmp_path: Path, change: str, said: str) -> None:
    study = tmp_path / "study"
    study.mkdir()
    content = json.loads((study_folder / "results" / "shenzhen-probe-6.25.json").read_text())
    difference = content["labels"]["Tuberculosis"]["differences"]["model"]
    assert difference["ci"][0] > 0
    for name in ("strong", "weak"):
        (study / "r.json").write_text(json.dumps(content))
        write_report(study, tmp_path / f"{name}.html", with_images=False)
        if change == "units":
            content["units"] = 29
        else:
            content["labels"]["Tuberculosis"]["positives"] = 9
    strong, weak = ((tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in ("strong", "weak"))
    assert ("<b>" in strong, "<b>" in weak) == (True, False)
    assert (said in text_of(strong).split("negative draws")[1], said in text_of(weak)) == (False, True)
