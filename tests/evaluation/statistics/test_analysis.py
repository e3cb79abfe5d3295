"""The analysis of a comparison: which interval, what is null, what contradicts nothing, and what is said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.statistics.analysis import bootstrap_result
from evaluation.statistics.intervals import newcombe
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.remarks import StatisticsError, fewest_replicates
from evaluation.statistics.result import BootstrapResult
from evaluation.tables.comparison import Arm, Comparison, Draw, Input, LeftOut
from evaluation.tables.truth import TruthOrigin

OPTIONS = AnalysisOptions(replicates=400)


def comparison(
    scores: dict[str, NDArray[np.float64]], truth: NDArray[np.float64], unit: NDArray[np.int64] | None = None
) -> Comparison:
    """Arms of scores [draws, rows, labels]; truth [rows, labels]."""
    unit = np.arange(len(truth)) if unit is None else unit
    file = Input("p.csv", None, None)
    return Comparison(
        labels=tuple(f"L{column}" for column in range(truth.shape[1])),
        truth=truth,
        arms=tuple(
            Arm(name, of_arm, tuple(Draw(d, None) for d in range(len(of_arm))), (file,) * len(of_arm))
            for name, of_arm in scores.items()
        ),
        unit_name="patient_id",
        unit=unit,
        clustered=bool(np.bincount(unit).max() > 1),
        different=(),
        left_out=LeftOut(),
        warnings=(),
        truth_origin=TruthOrigin("truth.csv", len(truth)),
    )


def simulated(seed: int, positives: tuple[int, ...], rows: int = 200, draws: int = 1, gain: float = 1.5) -> Comparison:
    """Two arms, a label for each number of positives."""
    generator = np.random.default_rng(seed)
    truth = np.stack([generator.permutation(rows) < count for count in positives], axis=1).astype(float)
    shared = generator.normal(size=truth.shape)
    scores = {
        name: shared + generator.normal(size=(draws, *truth.shape)) + gain * truth for name in ("model", "baseline")
    }
    return comparison(scores, truth)


def analysed(given: Comparison, options: AnalysisOptions = OPTIONS) -> BootstrapResult:
    return bootstrap_result(given, options, "baseline" if len(given.arms) > 1 else None)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 100), st.sampled_from([1, 3]), st.sampled_from([0.8, 0.95]))
def test_no_interval_of_a_difference_contradicts_its_p_value(
    seed: int, positives: int, draws: int, level: float
) -> None:
    result = analysed(simulated(seed, (positives, 60), draws=draws), replace(OPTIONS, level=level))
    differences = [entry.differences["model"] for entry in result.labels.values()]
    for difference in (*differences, result.mean.differences["model"]):
        if difference.ci is None or difference.p_value is None:
            assert (difference.ci, difference.p_value) == (None, None)
        else:
            low, high = difference.ci
            assert (low > 0 or high < 0) == (difference.p_value < 1 - level)


@pytest.mark.parametrize(
    ("units", "interval", "said"),
    [(9, False, "no intervals"), (10, True, "rough"), (29, True, "rough"), (30, True, "")],
)
def test_few_units_have_values_without_intervals_or_a_warning(units: int, interval: bool, said: str) -> None:
    result = analysed(simulated(1, (units // 2,), rows=units, gain=0.5))
    entry = result.labels["L0"]
    for estimate in (entry.arms["model"], entry.differences["model"]):
        assert estimate.value is not None
        assert (estimate.ci is not None) == interval
    assert any(said in warning for warning in result.warnings) if said else not result.warnings


@pytest.mark.parametrize("positives", [0, 1, 199, 200])
def test_fewer_than_two_of_a_class_have_no_value(positives: int) -> None:
    result = analysed(simulated(2, (positives, 70)))
    entry = result.labels["L0"]
    assert (entry.positives, entry.negatives) == (positives, 200 - positives)
    assert entry.arms["model"].value is None
    assert entry.differences["model"].value is None
    assert result.mean.labels == ("L1",)
    assert result.mean.arms == result.labels["L1"].arms


def test_a_class_of_one_patient_has_a_value_without_an_interval() -> None:
    generator = np.random.default_rng(0)
    unit = np.repeat(np.arange(30), 4)
    truth = (unit == 3).astype(float)[:, None]
    result = analysed(comparison({"model": generator.random((1, 120, 1))}, truth, unit))
    assert result.labels["L0"].arms["model"].value is not None
    assert result.labels["L0"].arms["model"].ci is None
    assert any("all of a class is of one patient_id" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("positives", "gain", "draws", "method"),
    [
        (60, 1.0, 1, "logit-t"),
        (49, 1.0, 1, "newcombe-5"),
        (49, 1.0, 3, "wider of newcombe-5 and logit-t"),
        (60, 3.5, 1, "newcombe-5"),  # an AUROC of about 0.99: fewer than three positives are misranked
    ],
)
def test_a_label_has_the_interval_of_its_counts(positives: int, gain: float, draws: int, method: str) -> None:
    result = analysed(simulated(3, (positives,), draws=draws, gain=gain))
    assert result.labels["L0"].arms["model"].method == method


def test_a_rare_label_has_newcombes_interval_and_at_most_as_many_degrees_of_freedom_as_positives() -> None:
    result = analysed(simulated(4, (8,)))
    entry = result.labels["L0"]
    value = entry.arms["model"].value
    assert value is not None
    assert entry.arms["model"].ci == pytest.approx(newcombe(value, 8, 192, 0.95))
    assert entry.differences["model"].df == pytest.approx(7)


def test_a_perfect_arm_has_the_interval_of_its_units_and_no_bootstrap_interval() -> None:
    truth = (np.arange(60) < 20).astype(float)[:, None]
    scores = truth[None] + np.random.default_rng(0).random((1, 60, 1)) / 2
    unit = np.arange(60) // 2
    result = analysed(comparison({"model": scores, "baseline": scores * 2}, truth, unit))
    entry = result.labels["L0"]
    assert entry.arms["model"].value == 1.0
    assert entry.arms["model"].ci == pytest.approx(newcombe(1.0, 10, 20, 0.95))
    assert entry.arms["model"].bootstrap_ci is None
    difference = entry.differences["model"]
    assert (difference.value, difference.ci, difference.p_value) == (0.0, None, None)
    assert (difference.bootstrap_ci, difference.bootstrap_p_value) == (None, None)
    assert any("Without a variance" in warning for warning in result.warnings)


def test_copies_of_the_rows_of_a_patient_add_no_information() -> None:
    """Newcombe's interval of a rare label takes rows over the design effect: copies leave it as it was."""
    once = simulated(5, (20,))
    copied = comparison(
        {arm.name: np.repeat(arm.scores, 4, axis=1) for arm in once.arms},
        np.repeat(once.truth, 4, axis=0),
        np.repeat(np.arange(200), 4),
    )
    one, four = (analysed(given).labels["L0"] for given in (once, copied))
    assert one.arms["model"].value == pytest.approx(four.arms["model"].value)
    assert four.arms["model"].ci is not None
    assert one.arms["model"].ci is not None
    widths = [ci[1] - ci[0] for ci in (one.arms["model"].ci, four.arms["model"].ci)]
    assert widths[0] <= widths[1] < 1.3 * widths[0]  # the wider of two methods; rows alone would halve it
    assert four.differences["model"].ci == pytest.approx(one.differences["model"].ci)


def test_the_mean_is_over_one_set_of_labels_in_every_replicate() -> None:
    given = simulated(6, (3, 80, 90))
    result = analysed(given)
    entry = result.labels["L0"]
    assert entry.undefined_replicates > 0
    assert result.mean.labels == ("L0", "L1", "L2")
    assert result.mean.undefined_replicates == entry.undefined_replicates
    values = [label.arms["model"].value for label in result.labels.values()]
    assert result.mean.arms["model"].value == pytest.approx(np.mean([value for value in values if value is not None]))
    assert any("a label of the mean has one class only" in warning for warning in result.warnings)


def test_an_arm_alone_has_no_reference_and_several_need_one() -> None:
    given = simulated(7, (60,))
    with pytest.raises(StatisticsError, match="--reference has to name"):
        bootstrap_result(given, OPTIONS)
    with pytest.raises(StatisticsError, match="none of the arms"):
        bootstrap_result(given, OPTIONS, "start")
    alone = replace(given, arms=given.arms[:1])
    assert bootstrap_result(alone, OPTIONS).labels["L0"].differences == {}


@pytest.mark.parametrize(("level", "fewest"), [(0.95, 400), (0.9, 200), (0.99, 2000), (0.5, 40)])
def test_too_few_replicates_for_a_level_are_refused(level: float, fewest: int) -> None:
    assert fewest_replicates(level) == fewest
    given = simulated(8, (60,))
    with pytest.raises(StatisticsError, match=f"at least {fewest} are needed"):
        analysed(given, replace(OPTIONS, level=level, replicates=fewest - 1))
    analysed(given, replace(OPTIONS, level=level, replicates=fewest))


def test_differences_between_draws_widen_the_interval_by_their_variance() -> None:
    generator = np.random.default_rng(9)
    truth = (np.arange(300) < 120).astype(float)[:, None]
    noise = generator.normal(size=(1, 300, 1))
    shifts = np.array([0.6, 1.2, 2.0])[:, None, None]
    given = comparison({"model": noise + shifts * truth, "baseline": np.repeat(noise, 3, axis=0) + 1.0 * truth}, truth)
    difference = analysed(given).labels["L0"].differences["model"]
    assert difference.df is not None
    assert difference.df < 5
    assert difference.ci is not None
    assert difference.conditional_ci is not None
    assert difference.ci[1] - difference.ci[0] > 2 * (difference.conditional_ci[1] - difference.conditional_ci[0])


@pytest.mark.parametrize(("draws", "seeds", "named"), [(3, 2, 2), (3, 3, 0), (3, 1, 0)])
def test_two_seeds_beside_three_draws_are_said_to_be_conditional(draws: int, seeds: int, named: int) -> None:
    given = simulated(10, (60,), draws=draws * seeds)
    grid = tuple(Draw(draw, seed) for seed in range(seeds) for draw in range(draws))
    result = analysed(replace(given, arms=tuple(replace(arm, draws=grid) for arm in given.arms)))
    assert sum("has two pretraining seeds: its intervals are cond" in one for one in result.warnings) == named
    assert "draws" in result.over
