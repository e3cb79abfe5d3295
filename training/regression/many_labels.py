"""Fit the logistic regressions of several labels at once, for training sets of many patients.

Each label has its own rows, standardisation and held-out part, as in `training.regression.one_label.fit`; but all
labels read one copy of the features, a block of rows at a time, so that 14 labels cost little more than one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.linalg
from scipy.special import expit

from training.labels import Targets
from training.regression.one_label import (
    CONSTANT,
    CROSS_VALIDATED_BELOW,
    DEFAULT_STRENGTH,
    STRENGTHS,
    TOLERANCE,
    Features,
    LinearModel,
    Places,
    Validation,
    fit,
    refuse_no_numbers,
    validation_of,
)

ROWS = 4096
"""Rows of a block: 16 MB of 512 features in float64."""
MEMORY = 12
"""Pairs of steps and changes of the gradient that L-BFGS keeps."""
MAX_ITERATIONS = 500
HALVINGS = 30
CHOICE_TOLERANCE = 1e-5
"""As TOLERANCE, of the regressions that only choose C."""

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]
_Inverse = Callable[[Matrix], Matrix]


def fit_labels(features: Features, places: Places, wanted: Targets, rows: pd.DataFrame, name: str) -> list[LinearModel]:
    """Fit one regression a label, those of many patients at once; arguments as of `fit_many`."""
    patients = [rows.loc[known, "patient_id"].nunique() for known in ~np.isnan(wanted).T]
    many = [label for label, count in enumerate(patients) if count >= CROSS_VALIDATED_BELOW]
    found = dict(zip(many, fit_many(features, places, wanted[:, many], rows, name), strict=True)) if many else {}
    return [
        found[label] if label in found else fit(features, places, wanted[:, label], rows, name)
        for label in range(wanted.shape[1])
    ]


def fit_many(features: Features, places: Places, wanted: Targets, rows: pd.DataFrame, name: str) -> list[LinearModel]:
    """Fit one regression a label: C by the log loss of a held-out part of the patients, then on all known rows.

    features: float32 [M, D]. places: int64 [N]. wanted: float32 [N, L], NaN left out. rows: [N], of samples.parquet.
    Memory: one float64 copy of the N features.
    """
    known = ~np.isnan(wanted)
    parts: list[Validation] = []
    apart = np.zeros_like(known)
    for label in range(wanted.shape[1]):
        inside = known[:, label]
        of = rows[inside]
        parts.append(validation_of(of, name, pd.Series(wanted[inside, label] == 1, index=of.index)))
        apart[inside, label] = np.isin(parts[-1].part, parts[-1].judged)
    problem = _Problem.of(features, places, wanted, known)
    strengths = _best_strengths(problem, known, apart)
    found = _minimise(problem, known, strengths, np.zeros((problem.width + 1, wanted.shape[1])), TOLERANCE)
    weight = found[:-1] / problem.spread / problem.scale[:, None]
    bias = found[-1] - ((problem.mean[:, None] + problem.centre * problem.scale[:, None]) * weight).sum(axis=0)
    return [
        LinearModel(
            weight=np.ascontiguousarray(weight[:, label]),
            bias=float(bias[label]),
            strength=float(strengths[label]),
            chosen_by=part.chosen_by,
            chosen_on=int(apart[:, label].sum()),
            folds=0,
        )
        for label, part in enumerate(parts)
    ]


@dataclass(frozen=True)
class _Problem:
    """Features and targets of all labels.

    scaled: float64 [N, D], standardised over all rows with mean and scale [D]. goal: [N, L], 0 where unknown. centre,
    spread: [D, L], mean and standard deviation of the scaled features over the known rows of each label. gram: [D, D],
    mean of the products of the scaled features.
    """

    scaled: Matrix
    mean: Matrix
    scale: Matrix
    goal: Matrix
    centre: Matrix
    spread: Matrix
    gram: Matrix

    @classmethod
    def of(cls, features: Features, places: Places, wanted: Targets, known: Mask) -> "_Problem":
        count, width = len(places), features.shape[1]
        scaled = np.empty((count, width))
        for block in _blocks(count):
            scaled[block] = features[places[block]]
        mean = scaled.mean(axis=0)
        refuse_no_numbers(mean)
        scaled -= mean
        scale = np.sqrt(np.einsum("nd,nd->d", scaled, scaled) / count)
        scale[scale <= CONSTANT * np.abs(mean)] = 1.0
        scaled /= scale
        of_label = known.astype(np.float64)
        first, second = (np.zeros((width, known.shape[1])) for _ in range(2))
        gram = np.zeros((width, width))
        for block in _blocks(count):
            first += scaled[block].T @ of_label[block]
            second += np.square(scaled[block]).T @ of_label[block]
            gram += scaled[block].T @ scaled[block]
        centre = first / of_label.sum(axis=0)
        spread = np.sqrt(np.maximum(second / of_label.sum(axis=0) - centre**2, 0))
        raw = mean[:, None] + centre * scale[:, None]
        spread[spread * scale[:, None] <= CONSTANT * np.abs(raw)] = 1.0
        return cls(scaled, mean, scale, np.nan_to_num(wanted).astype(np.float64), centre, spread, gram / count)

    def only(self, labels: Labels) -> "_Problem":
        """The same with some of the labels."""
        return replace(self, goal=self.goal[:, labels], centre=self.centre[:, labels], spread=self.spread[:, labels])

    @property
    def width(self) -> int:
        """Number of features."""
        return int(self.scaled.shape[1])


def _best_strengths(problem: _Problem, known: Mask, apart: Mask) -> Matrix:
    """Choose each label's C: the least log loss on the rows apart, of a regression on its other known rows; [L].

    Labels that have no rows apart get DEFAULT_STRENGTH.
    """
    judged = np.flatnonzero(apart.any(axis=0))
    problem, fitted, apart = problem.only(judged), (known & ~apart)[:, judged], apart[:, judged]
    best = np.full(known.shape[1], DEFAULT_STRENGTH)
    if not len(judged):
        return best
    parameters = np.zeros((problem.width + 1, len(judged)))
    losses = []
    for strength in STRENGTHS:
        parameters = _minimise(problem, fitted, np.full(len(judged), strength), parameters, CHOICE_TOLERANCE)
        losses.append(_evaluate(problem, apart, parameters, np.zeros(len(judged))).loss)
    best[judged] = np.array(STRENGTHS)[np.argmin(losses, axis=0)]
    return best


@dataclass(frozen=True)
class _Evaluation:
    """loss: [L], mean log loss with the penalty. gradient: [D + 1, L]. curvature: [L], mean of p (1 - p)."""

    loss: Matrix
    gradient: Matrix
    curvature: Matrix


def _evaluate(problem: _Problem, mask: Mask, parameters: Matrix, penalty: Matrix) -> _Evaluation:
    """Evaluate the regressions on the rows of the mask [N, L].

    parameters: [D + 1, L], weights of standardised features, then the intercept. penalty: [L], of half the squared
    weights.
    """
    weight = parameters[:-1] / problem.spread
    offset = parameters[-1] - (problem.centre * weight).sum(axis=0)
    count = mask.sum(axis=0)
    loss, residual, curvature = (np.zeros(len(count)) for _ in range(3))
    gradient = np.zeros_like(weight)
    for block in _blocks(len(mask)):
        rows, goal, inside = problem.scaled[block], problem.goal[block], mask[block]
        logits = rows @ weight + offset
        probability = expit(logits)
        loss += np.where(inside, np.logaddexp(0, logits) - goal * logits, 0).sum(axis=0)
        error = np.where(inside, probability - goal, 0)
        gradient += rows.T @ error
        residual += error.sum(axis=0)
        curvature += np.where(inside, probability * (1 - probability), 0).sum(axis=0)
    of_weights = (gradient - problem.centre * residual) / problem.spread / count + penalty * parameters[:-1]
    return _Evaluation(
        loss=loss / count + 0.5 * penalty * np.square(parameters[:-1]).sum(axis=0),
        gradient=np.vstack([of_weights, residual / count]),
        curvature=curvature / count,
    )


def _minimise(problem: _Problem, mask: Mask, strengths: Matrix, start: Matrix, tolerance: float) -> Matrix:
    """Minimise each label's penalised log loss on the rows of the mask by L-BFGS; parameters [D + 1, L].

    The first guess of the inverse Hessian is that of the features' covariance. A label is done when no component of its
    gradient is larger than the tolerance.
    """
    parameters, penalty = start.copy(), 1 / (strengths * mask.sum(axis=0))
    active = np.arange(len(strengths))
    at = _evaluate(problem, mask, parameters, penalty)
    inverse = [_preconditioner(problem, int(label), at.curvature[label], penalty[label]) for label in active]
    gradient, loss = at.gradient, at.loss
    pairs: list[tuple[Matrix, Matrix]] = []
    for _ in range(MAX_ITERATIONS):
        active = active[np.abs(gradient[:, active]).max(axis=0) > tolerance]
        if not len(active):
            break
        direction = -_two_loops(gradient, pairs, active, inverse)
        moved, found = _search(problem, mask, penalty, _Point(parameters, at), direction, active)
        if not len(moved):
            break
        step, change = np.zeros_like(parameters), np.zeros_like(parameters)
        step[:, moved] = found.parameters - parameters[:, moved]
        change[:, moved] = found.at.gradient - gradient[:, moved]
        parameters[:, moved] += step[:, moved]
        gradient[:, moved], loss[moved] = found.at.gradient, found.at.loss
        pairs = [*pairs[-MEMORY + 1 :], (step, change)]
        active = moved
    return parameters


@dataclass(frozen=True)
class _Point:
    """parameters: [D + 1, M] of M labels, and their evaluation."""

    parameters: Matrix
    at: _Evaluation


def _search(
    problem: _Problem, mask: Mask, penalty: Matrix, now: _Point, direction: Matrix, active: Labels
) -> tuple[Labels, _Point]:
    """Halve each active label's step until its loss falls enough (Armijo). Returns the labels that could move.

    now: of all labels. direction: [D + 1, A], of the active ones. The point that is returned is of those that moved.
    """
    slope = (now.at.gradient[:, active] * direction).sum(axis=0)
    size, waiting = np.ones(len(active)), np.arange(len(active))
    new = np.zeros((len(now.parameters), len(active)))
    evaluated = _Evaluation(np.zeros(len(active)), np.zeros_like(new), np.zeros(len(active)))
    for _ in range(HALVINGS):
        labels = active[waiting]
        new[:, waiting] = now.parameters[:, labels] + size[waiting] * direction[:, waiting]
        at = _evaluate(problem.only(labels), mask[:, labels], new[:, waiting], penalty[labels])
        evaluated.loss[waiting], evaluated.gradient[:, waiting] = at.loss, at.gradient
        enough = at.loss <= now.at.loss[labels] + 1e-4 * size[waiting] * slope[waiting] + 1e-14
        waiting = waiting[~enough]
        if not len(waiting):
            break
        size[waiting] /= 2
    could = np.setdiff1d(np.arange(len(active)), waiting)
    at = _Evaluation(evaluated.loss[could], evaluated.gradient[:, could], evaluated.curvature[could])
    return active[could], _Point(new[:, could], at)


def _two_loops(
    gradient: Matrix, pairs: Sequence[tuple[Matrix, Matrix]], active: Labels, inverse: Sequence[_Inverse]
) -> Matrix:
    """The product of L-BFGS's inverse Hessian with the gradient of the active labels; [D + 1, M] (Nocedal 1980)."""
    result = gradient[:, active].copy()
    used = []
    for step, change in reversed(pairs):
        own_step, own_change = step[:, active], change[:, active]
        curvature = (own_step * own_change).sum(axis=0)
        weight = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=curvature > 0)
        alpha = weight * (own_step * result).sum(axis=0)
        result -= alpha * own_change
        used.append((own_step, own_change, weight, alpha))
    result = np.column_stack([inverse[label](result[:, place]) for place, label in enumerate(active)])
    for own_step, own_change, weight, alpha in reversed(used):
        beta = weight * (own_change * result).sum(axis=0)
        result += (alpha - beta) * own_step
    return result


def _preconditioner(problem: _Problem, label: int, curvature: float, penalty: float) -> _Inverse:
    """The inverse of a label's Hessian as if p (1 - p) were the same in all rows."""
    centre, spread = problem.centre[:, label], problem.spread[:, label]
    curvature = max(curvature, 1e-6)
    hessian = curvature * (problem.gram - np.outer(centre, centre)) / np.outer(spread, spread)
    hessian[np.diag_indices_from(hessian)] += penalty
    factor = scipy.linalg.cho_factor(hessian, overwrite_a=True, check_finite=False)

    def solve(vector: Matrix) -> Matrix:
        weights = scipy.linalg.cho_solve(factor, vector[:-1], check_finite=False)
        return np.append(weights, vector[-1] / curvature)

    return solve


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS):
        yield slice(start, start + ROWS)
