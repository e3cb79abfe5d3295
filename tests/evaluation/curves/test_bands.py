"""Bands: pointwise percentiles of the bootstrap's own replicates, over patients and draws, and what has none."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from evaluation.curves.bands import BandOptions, label_curves
from evaluation.curves.content import LabelCurves
from evaluation.curves.weighted_curves import STEPS, WeightedCurves
from evaluation.statistics.bootstrap import resampled_counts
from evaluation.statistics.draws import design
from evaluation.tables.comparison import Comparison
from tests.evaluation.statistics.test_analysis import comparison


def curves_of(given: Comparison, replicates: int = 200, level: float = 0.9) -> dict[str, LabelCurves]:
    designs = {arm.name: design(arm.draws) for arm in given.arms}
    return label_curves(given, BandOptions(replicates, 3, level, designs))


def drawn(rows: int, draws: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(rows)
    truth = (generator.random((rows, 1)) < 0.4).astype(float)
    return generator.normal(size=(draws, rows, 1)) + truth, truth


def test_a_band_is_the_percentile_interval_of_the_same_replicates_as_the_bootstrap() -> None:
    scores, truth = drawn(60, 1)
    given = comparison({"model": scores}, truth)
    band = curves_of(given)["L0"].arms["model"].roc
    assert band is not None
    known = given.truth[:, 0] == 1
    counts = np.concatenate(list(resampled_counts(60, 200, 3, 50)), axis=1)
    replicated, _ = WeightedCurves(given.arms[0].scores[0, :, 0], known, given.unit)(counts)
    low, high = np.quantile(replicated[~np.isnan(replicated[:, 0])], [0.05, 0.95], axis=0)
    assert band.low == pytest.approx(low, abs=1e-5)
    assert band.high == pytest.approx(high, abs=1e-5)
    assert len(band.value) == STEPS + 1
    assert band.value[-1] == 1


def test_areas_are_scikit_learns_averaged_over_draws() -> None:
    scores, truth = drawn(80, 3)
    one = curves_of(comparison({"model": scores}, truth))["L0"]
    roc, pr = one.arms["model"].roc, one.arms["model"].pr
    assert roc is not None
    assert pr is not None
    assert roc.area == pytest.approx(np.mean([roc_auc_score(truth[:, 0], draw[:, 0]) for draw in scores]), abs=1e-12)
    expected = np.mean([average_precision_score(truth[:, 0], draw[:, 0]) for draw in scores])
    assert pr.area == pytest.approx(expected, abs=1e-12)
    assert (one.positives, one.negatives) == (truth.sum(), (1 - truth).sum())


def test_draws_that_differ_widen_the_band() -> None:
    scores, truth = drawn(3000, 1)
    worse = np.random.default_rng(5).normal(size=scores.shape)
    alike = curves_of(comparison({"model": np.concatenate([scores] * 4)}, truth))["L0"].arms["model"].roc
    mixed = curves_of(comparison({"model": np.concatenate([scores, scores, worse, worse])}, truth))["L0"]
    other = mixed.arms["model"].roc
    widths = [np.mean(np.subtract(band.high, band.low)) for band in (alike, other) if band and band.high and band.low]
    assert len(widths) == 2
    assert widths[1] > 1.5 * widths[0]


def test_a_label_of_one_class_has_no_curve_and_few_units_have_no_band() -> None:
    scores, truth = drawn(40, 1)
    none = curves_of(comparison({"model": scores}, np.zeros_like(truth)))["L0"]
    assert (none.arms["model"].roc, none.arms["model"].pr, none.positives) == (None, None, 0)
    few = curves_of(comparison({"model": scores}, truth, np.arange(40) // 5))["L0"].arms["model"].roc
    assert few is not None
    assert (few.low, few.high) == (None, None)
