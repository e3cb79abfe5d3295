"""Choose the score from which on a row is called positive, by a rule, and say how the choice does on its own data."""

import math
from dataclasses import dataclass
from typing import Literal

import click
import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.intervals import Interval, wilson

FEWEST_OF_A_CLASS = 2
"""With fewer rows of a class there is no threshold."""


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen. target: the sensitivity or specificity to reach; NaN for Youden's index."""

    name: Literal["youden", "specificity", "sensitivity"]
    target: float = math.nan

    def __str__(self) -> str:
        """As it is written on the command line."""
        return self.name if math.isnan(self.target) else f"{self.name}={self.target:g}"


def rule_from_text(text: str) -> Rule:
    """Read `youden`, `specificity=0.9` or `sensitivity=0.9`. Raises ValueError for anything else."""
    name, equals, number = text.partition("=")
    if name == "youden" and not equals:
        return Rule("youden")
    try:
        target = float(number)
    except ValueError:
        target = math.nan
    if 0 < target <= 1:
        if name == "specificity":
            return Rule("specificity", target)
        if name == "sensitivity":
            return Rule("sensitivity", target)
    raise ValueError(f"{text!r} is no rule: youden, specificity=X or sensitivity=X, X above 0 and at most 1")


class RuleType(click.ParamType[Rule]):
    """A rule of the command line."""

    name = "rule"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Rule:
        """Parse it."""
        if isinstance(value, Rule):
            return value
        try:
            return rule_from_text(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True)
class Proportion:
    """A fraction of rows with Wilson's interval, which takes rows as independent."""

    value: float
    ci: Interval


@dataclass(frozen=True)
class LabelThreshold:
    """The threshold of one label and model, None with fewer than two rows of a class; rows at or above it are positive.

    sensitivity, specificity: on the rows that it was chosen on, and so optimistic.
    """

    threshold: float | None
    positives: int
    negatives: int
    sensitivity: Proportion | None
    specificity: Proportion | None


def label_threshold(
    scores: NDArray[np.float64], truth: NDArray[np.float64], rule: Rule, level: float
) -> LabelThreshold:
    """Choose the threshold of one label. scores, truth: [rows]; truth is 1, 0, or NaN where the row does not count."""
    known = ~np.isnan(truth)
    scores, positive = scores[known], truth[known] == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if min(positives, negatives) < FEWEST_OF_A_CLASS:
        return LabelThreshold(None, positives, negatives, None, None)
    threshold = choose_threshold(scores, positive, rule)
    called = scores >= threshold
    hits, rejections = int((called & positive).sum()), int((~called & ~positive).sum())
    return LabelThreshold(
        threshold,
        positives,
        negatives,
        Proportion(hits / positives, wilson(hits, positives, level)),
        Proportion(rejections / negatives, wilson(rejections, negatives, level)),
    )


def choose_threshold(scores: NDArray[np.float64], positive: NDArray[np.bool_], rule: Rule) -> float:
    """Choose among the scores, and just above the highest one, where nothing is called positive.

    youden: the highest sensitivity + specificity, of equals the highest threshold (W. J. Youden, Cancer 3, 1950).
    specificity=X: the lowest threshold whose specificity is at least X. sensitivity=X: the highest whose sensitivity is
    at least X. scores, positive: [rows], both classes present.
    """
    candidates = np.unique(scores)[::-1]
    candidates = np.concatenate([[np.nextafter(candidates[0], np.inf)], candidates])  # descending
    below = [
        len(of_class) - np.searchsorted(np.sort(of_class), candidates)
        for of_class in (scores[positive], scores[~positive])
    ]
    hits, alarms = below  # called positive among the positive, among the negative
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if rule.name == "youden":
        # Compared as whole numbers, so that equals are equal.
        return float(candidates[np.argmax(hits * negatives - alarms * positives)])
    if rule.name == "specificity":
        reached = (negatives - alarms) / negatives >= rule.target
        return float(candidates[np.flatnonzero(reached)[-1]])
    return float(candidates[np.argmax(hits / positives >= rule.target)])
