"""Subgroups on the same replicates: against scikit-learn, the rest, gaps, Holm's family, and what is not judged."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, recall_score, roc_auc_score
from statsmodels.stats.multitest import multipletests

from evaluation.results.reading import result_from_json
from evaluation.statistics.analysis import Thresholds, bootstrap_result
from evaluation.statistics.bootstrap import resampled_counts
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.result import BootstrapResult, ThresholdCitation
from evaluation.tables.comparison import Comparison
from evaluation.tables.subgroups import Subgroups
from shards.json_value import JsonValue
from tests.evaluation.statistics.test_analysis import comparison

OPTIONS = AnalysisOptions(replicates=400)
ROWS = 400


def grouped(groups: int = 2, seed: int = 0, blank: int = 0) -> Comparison:
    """Two arms, two labels, two rows a patient; the last group is judged worse, and `blank` rows are in none."""
    generator = np.random.default_rng(seed)
    group = generator.integers(0, groups, ROWS // 2).repeat(2)
    truth = (generator.random((ROWS, 2)) < 0.4).astype(float)
    gain = np.where(group == groups - 1, 0.5, 2.0)[:, None]
    scores = {name: generator.normal(size=(1, ROWS, 2)) + gain * truth for name in ("model", "baseline")}
    group[:blank] = -1
    found = comparison(scores, truth, np.arange(ROWS) // 2)
    return replace(found, subgroups={"sex": Subgroups(tuple("abcde"[:groups]), group)})


def analysed(given: Comparison, *metrics: str, thresholds: bool = False) -> BootstrapResult:
    options = replace(OPTIONS, metric=metrics or ("auroc",))
    cited = Thresholds({arm.name: np.full((1, 2), 0.7) for arm in given.arms}, ThresholdCitation("t.json", "0", "x"))
    return bootstrap_result(given, options, "baseline", thresholds=cited if thresholds else None)


@pytest.mark.parametrize("groups", [2, 3])
def test_values_and_differences_from_the_rest_are_scikit_learns_on_the_same_replicates(groups: int) -> None:
    given = grouped(groups, blank=6)
    result = analysed(given, "auroc", "ap")
    counts = np.concatenate(list(resampled_counts(ROWS // 2, 400, 0, chunk=400)), axis=1)
    group, truth = given.subgroups["sex"].group, given.truth[:, 0]
    for number, name in enumerate(given.subgroups["sex"].names):
        inside, rest = group == number, (group != number) & (group >= 0)
        found = result.subgroups["sex"][name]
        assert (found.n, found.labels["L0"].n) == (inside.sum(), inside.sum())
        for arm in given.arms:
            scores = arm.scores[0, :, 0]
            for metric, reference, of_metric in (
                ("auroc", roc_auc_score, found),
                ("ap", average_precision_score, found.metrics["ap"]),
            ):
                sides = [reference(truth[rows], scores[rows]) for rows in (inside, rest)]
                assert of_metric.labels["L0"].arms[arm.name].value == pytest.approx(sides[0], abs=1e-12), metric
                assert of_metric.rest.labels["L0"][arm.name].value == pytest.approx(sides[0] - sides[1], abs=1e-12)
        drawn = [np.repeat(np.arange(ROWS), replicate[np.arange(ROWS) // 2]) for replicate in counts.T]
        scores = given.arms[0].scores[0, :, 0]
        differences = [
            np.subtract(*(roc_auc_score(truth[rows[side[rows]]], scores[rows[side[rows]]]) for side in (inside, rest)))
            for rows in drawn
        ]
        expected = np.quantile(differences, [0.025, 0.975])
        assert found.rest.labels["L0"]["model"].bootstrap_ci == pytest.approx(expected, abs=1e-12)


def test_of_two_subgroups_one_is_the_others_rest() -> None:
    one, two = analysed(grouped()).subgroups["sex"].values()
    for label in ("L0", "L1"):
        first, second = one.rest.labels[label]["model"], two.rest.labels[label]["model"]
        assert first.value is not None
        assert second.value is not None
        assert first.ci is not None
        assert second.ci is not None
        assert first.value == pytest.approx(-second.value)
        assert first.ci == pytest.approx((-second.ci[1], -second.ci[0]))
        assert (first.p_value, first.holm_p_value) == pytest.approx((second.p_value, second.holm_p_value))
        assert first.p_value is not None
        assert first.p_value < 0.01  # the gains differ by 1.5 standard deviations


def test_gaps_are_differences_of_true_and_false_positive_rates_at_the_threshold() -> None:
    given = grouped(3)
    result = analysed(given, "sensitivity", thresholds=True)
    group, truth = given.subgroups["sex"].group, given.truth[:, 1]
    called = given.arms[1].scores[0, :, 1] >= 0.7
    for number, name in enumerate("abc"):
        sides = (group == number, group != number)
        tpr = [recall_score(truth[rows], called[rows]) for rows in sides]
        fpr = [1 - recall_score(truth[rows], called[rows], pos_label=0) for rows in sides]
        gaps = result.subgroups["sex"][name].gaps
        for gap, (inside, rest) in (("tpr", tpr), ("fpr", fpr)):
            found = gaps[gap]["L1"]["baseline"]
            assert found.value == pytest.approx(inside - rest, abs=1e-12)
            assert found.ci is not None
            assert found.ci[0] < inside - rest < found.ci[1]
            assert found.bootstrap_ci is not None
            assert found.bootstrap_ci[0] < inside - rest < found.bootstrap_ci[1]
    assert not analysed(given).subgroups["sex"]["a"].gaps


@pytest.mark.parametrize("groups", [2, 3])
def test_holm_goes_over_the_stated_family(groups: int) -> None:
    result = analysed(grouped(groups), "auroc", "sensitivity", thresholds=True)
    families = result.by["sex"].families
    assert list(families) == ["auroc", "sensitivity", "tpr", "fpr"]
    tested = 1 if groups == 2 else groups  # two groups make one test of each label and arm
    assert len(families["auroc"]) == tested * 2 * 2
    assert families["auroc"][0] == "a: model: L0"
    by_name = {
        f"{group}: {arm}: {label}": difference
        for group, one in result.subgroups["sex"].items()
        for label, of_label in one.rest.labels.items()
        for arm, difference in of_label.items()
    }
    p_values = [by_name[name].p_value for name in families["auroc"]]
    theirs = multipletests(p_values, method="holm")[1]
    assert [by_name[name].holm_p_value for name in families["auroc"]] == pytest.approx(list(theirs))


@pytest.mark.parametrize(("patients", "few", "not_judged"), [(9, False, True), (12, True, False), (60, False, False)])
def test_a_subgroup_with_few_of_a_class_is_marked_or_not_judged(patients: int, few: bool, not_judged: bool) -> None:
    generator = np.random.default_rng(0)
    rows = 4 * 60
    truth = (np.arange(rows) % 4 == 0).astype(float)[:, None]
    group = np.zeros(rows, np.int64)
    group[np.flatnonzero(truth[:, 0] == 0)[:60]] = 1
    group[np.flatnonzero(truth[:, 0] == 1)[:patients]] = 1
    scores = {name: generator.normal(size=(1, rows, 1)) + truth for name in ("model", "baseline")}
    given = replace(comparison(scores, truth), subgroups={"ap_pa": Subgroups(("AP", "PA"), group)})
    result = analysed(given)
    one = result.subgroups["ap_pa"]["PA"]
    assert (bool(one.few), bool(one.not_judged)) == (few, not_judged)
    assert one.labels["L0"].positives == patients
    value, difference = one.labels["L0"].arms["model"].value, one.rest.labels["L0"]["model"].value
    assert (value is None, difference is None) == (not_judged, not_judged or patients == 60)
    assert any("too few of a class to be judged: PA: L0" in said for said in result.warnings) == not_judged


def test_the_rows_without_a_value_are_counted_and_the_result_is_read_again_as_it_was() -> None:
    result = analysed(grouped(3, blank=10), "auroc", "ap", "ppv", thresholds=True)
    assert result.by["sex"].blank == 10
    assert any("sex is blank in 10 rows" in sentence for sentence in result.warnings)
    content = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert json.loads(json.dumps(result_from_json(JsonValue(content)).as_json())) == content


def test_without_subgroups_the_result_has_no_further_key() -> None:
    content = analysed(replace(grouped(), subgroups={})).as_json()
    assert "by" not in content
    assert content["subgroups"] == {}
