"""Fit the logistic regression of a probe: standardised features, C chosen on held-out patients."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from training.errors import TrainingError
from training.labels import Targets
from training.regression.holdout import folds, held_out, patients_by_class

STRENGTHS = tuple(10.0**power for power in range(-6, 3))
"""Values of C (inverse regularisation, of standardised features) that are tried."""
DEFAULT_STRENGTH = 1e-2
"""C where too few patients have the label for any of them to be held out."""
FOLDS = 5
CROSS_VALIDATED_BELOW = 400
"""Patients with a known label below which C is chosen by cross-validation.

One held-out quarter of few patients cost 0.009 to 0.016 of AUROC and doubled the spread between draws at 22 and 41
labels.
"""
MAX_ITERATIONS = 2000
TOLERANCE = 1e-6
"""Largest component of the gradient at the end; scikit-learn's own 1e-4 leaves a weak regularisation unfinished."""

CONSTANT = 10 * np.finfo(np.float32).eps
"""A feature whose spread is a smaller part of its mean is constant but for the rounding of float32."""

Features = npt.NDArray[np.float32]
Scaled = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

ChosenBy = Literal["cross-validation", "hold-out", "default"]


@dataclass(frozen=True)
class LinearModel:
    """A logistic regression on raw features: logit = weight . x + bias.

    strength: C. chosen_on: number of samples whose log loss chose it. folds: of the cross-validation; 0 for the others.
    """

    weight: npt.NDArray[np.float64]
    bias: float
    strength: float
    chosen_by: ChosenBy
    chosen_on: int
    folds: int


@dataclass(frozen=True)
class Validation:
    """How C is chosen. part: int64 [N], of each row. judged: the parts that are held out, one after the other."""

    chosen_by: ChosenBy
    part: npt.NDArray[np.int64]
    judged: tuple[int, ...]


def fit(features: Features, places: Places, target: Targets, rows: pd.DataFrame, name: str) -> LinearModel:
    """Fit a logistic regression on standardised features: C by the log loss of held-out patients, then on all rows.

    features: float32 [M, D]. places: int64 [N], which of them to learn from. target: [N], NaN left out. rows: [N], of
    samples.parquet. Memory: one float64 copy of the N features, and with few patients a second one; in float32 L-BFGS
    stops where the loss no longer changes in its last digit, which may be far from the optimum.
    """
    known = ~np.isnan(target)
    places, target, rows = places[known], target[known], rows[known]
    validation = validation_of(rows, name, pd.Series(target == 1, index=rows.index))
    order = np.argsort(validation.part, kind="stable")  # so that each part is a slice
    scaled, target, part = features[places[order]].astype(np.float64), target[order], validation.part[order]
    centre, spread = _standardise(scaled)
    strength = _best_strength(scaled, target, part, validation.judged) if validation.judged else DEFAULT_STRENGTH
    model = _regression(strength).fit(scaled, target)
    weight = model.coef_[0].astype(np.float64) / spread
    return LinearModel(
        weight=weight,
        bias=float(model.intercept_[0] - weight @ centre),
        strength=strength,
        chosen_by=validation.chosen_by,
        chosen_on=int(np.isin(part, validation.judged).sum()),
        folds=len(validation.judged) if validation.chosen_by == "cross-validation" else 0,
    )


def validation_of(rows: pd.DataFrame, name: str, positive: "pd.Series[bool]") -> Validation:
    """Divide the rows for the choice of C: grouped and stratified folds below CROSS_VALIDATED_BELOW patients.

    There are FOLDS folds, or as many as there are patients of the rarer class; with fewer than two of these nothing is
    held out. From CROSS_VALIDATED_BELOW patients on one part is held out, if both classes are on both sides.
    """
    classes = patients_by_class(rows, name, positive)
    if sum(map(len, classes)) < CROSS_VALIDATED_BELOW:
        count = min(FOLDS, *map(len, classes))
        if count < 2:
            return Validation("default", np.zeros(len(rows), np.int64), ())
        return Validation("cross-validation", folds(rows, name, positive, count), tuple(range(count)))
    apart = held_out(rows, name, positive).to_numpy()
    possible = all(positive[side].nunique() == 2 for side in (apart, ~apart))
    return Validation("hold-out" if possible else "default", apart.astype(np.int64), (1,) if possible else ())


def _standardise(features: Scaled) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centre and scale the columns in place; (mean, standard deviation), float64 [D], 1 of a constant column.

    Raises TrainingError for features that are not numbers.
    """
    centre = features.mean(axis=0)
    refuse_no_numbers(centre)
    features -= centre
    spread = np.sqrt(np.einsum("nd,nd->d", features, features) / len(features))
    spread[spread <= CONSTANT * np.abs(centre)] = 1.0
    features /= spread
    return centre, spread


def refuse_no_numbers(mean: npt.NDArray[np.float64]) -> None:
    """Raise TrainingError if the mean of the features has a component that is not finite."""
    if not np.isfinite(mean).all():
        raise TrainingError("the backbone's features are not numbers: its weights are damaged. Take another backbone.")


def _best_strength(scaled: Scaled, target: Targets, part: npt.NDArray[np.int64], judged: tuple[int, ...]) -> float:
    """Choose the C with the least log loss on the judged parts, of regressions on all other rows. part: ascending."""
    losses = dict.fromkeys(STRENGTHS, 0.0)
    for held in judged:
        first, last = np.searchsorted(part, [held, held + 1])
        outside = (scaled[:first], target[:first]) if last == len(part) else _without(scaled, target, first, last)
        model = _regression(STRENGTHS[0]).set_params(warm_start=True)
        for strength in STRENGTHS:
            model.set_params(C=strength).fit(*outside)
            probability = model.predict_proba(scaled[first:last])[:, 1]
            losses[strength] += log_loss(target[first:last], probability, labels=[0, 1], normalize=False)
    return min(losses, key=lambda strength: losses[strength])


def _without(scaled: Scaled, target: Targets, first: int, last: int) -> tuple[Scaled, Targets]:
    """All rows but those from `first` to before `last`, as copies."""
    return (
        np.concatenate([scaled[:first], scaled[last:]]),
        np.concatenate([target[:first], target[last:]]),
    )


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, solver="lbfgs", tol=TOLERANCE)
