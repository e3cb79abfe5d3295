"""Fit small logistic regressions by Newton's method, with the influence of each resampled unit on the coefficients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

MOST_STEPS = 100
LARGEST = 1e3
"""A coefficient beyond it means that the classes are separated: the likelihood has no maximum."""


@dataclass(frozen=True)
class Fit:
    """coefficients: [terms]. by_unit: [units, terms], influence values, whose squares sum to the clustered variance."""

    coefficients: NDArray[np.float64]
    by_unit: NDArray[np.float64]


def fit_logistic(
    terms: NDArray[np.float64],
    truth: NDArray[np.bool_],
    unit: NDArray[np.int64],
    units: int,
    offset: NDArray[np.float64] | None = None,
) -> Fit | None:
    """Fit P(truth) = expit(offset + terms @ coefficients). terms: [rows, terms]; truth, unit, offset: [rows].

    None where there is no maximum: one class, or classes that are separated. The variance is the sandwich's over
    units (Liang and Zeger, Biometrika 73, 1986), scaled by k / (k - 1), k the units.
    """
    if truth.all() or not truth.any():
        return None
    shift = np.zeros(len(truth)) if offset is None else offset
    found = _newton(terms, truth, shift)
    if found is None:
        return None
    coefficients, hessian = found
    residual = truth - expit(shift + terms @ coefficients)
    scores = np.zeros((units, terms.shape[1]))
    np.add.at(scores, unit, terms * residual[:, None])
    k = len(np.unique(unit))
    if k < 2:
        return None
    return Fit(coefficients, np.sqrt(k / (k - 1)) * np.linalg.solve(hessian, scores.T).T)


def _newton(
    terms: NDArray[np.float64], truth: NDArray[np.bool_], shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Coefficients at the maximum and the negative Hessian there; steps that lower the likelihood are halved."""
    coefficients = np.zeros(terms.shape[1])
    value = _log_likelihood(shift, truth)
    for _ in range(MOST_STEPS):
        mean = expit(shift + terms @ coefficients)
        hessian = terms.T @ (terms * (mean * (1 - mean))[:, None])
        if np.linalg.cond(hessian) > 1e12:
            return None
        step = np.linalg.solve(hessian, terms.T @ (truth - mean))
        if np.abs(step).max() < 1e-12 * max(1.0, float(np.abs(coefficients).max())):
            return coefficients, hessian
        for _ in range(60):
            reached = _log_likelihood(shift + terms @ (coefficients + step), truth)
            if reached >= value - 1e-12 * abs(value):  # rounding is no descent
                break
            step = step / 2
        else:
            return coefficients, hessian  # no step up is left in floating point
        coefficients, value = coefficients + step, reached
        if np.abs(coefficients).max() > LARGEST:
            return None
    return None


def _log_likelihood(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    return float(-np.logaddexp(0, np.where(truth, -logits, logits)).sum())
