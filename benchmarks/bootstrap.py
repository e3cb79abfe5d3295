"""Time bootstrap replicates of AUROCs: ours against loops over scikit-learn and ranks, and against scipy's bootstrap.

scipy.stats.bootstrap gets a statistic that ranks all replicates of a batch at once. Replicates are first checked to be
equal to scikit-learn's. 25,000 rows of 14 labels are timed in processes of their own, with their memory: the AUROC,
and four metrics with a division into subgroups.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.pairs import (
    Comparison,
    Figure,
    alternate,
    json_option,
    quick_option,
    report,
    report_figures,
    seconds,
)
from evaluation.metrics.auroc import WeightedAuroc
from evaluation.statistics.bootstrap import Replicates, replicate_arms, resampled_counts

REPLICATES = 500
GOAL_SCIPY = 8.0
MOST_SECONDS, MOST_MB = 20.0, 400.0
GOAL = 10.0  # of FACTS' 27 times over scikit-learn, at CheXpert's 500 test studies
AurocOf = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


@dataclass(frozen=True)
class Case:
    """One data set. loop_replicates: how many the loops do; their time is scaled up where they are fewer than 500."""

    name: str
    rows: int
    labels: int
    arms: int
    loop_replicates: int
    rounds: int


CASES = (
    Case("500 studies", 500, 1, 1, 250, 5),
    Case("500 studies, 5 labels, 2 arms", 500, 5, 2, 25, 3),
    Case("20,000 rows", 20_000, 1, 1, 50, 3),
    Case("200,000 rows", 200_000, 1, 1, 20, 3),
)


def simulate(case: Case) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Arms of scores, each [1, rows, labels], and truth [rows, labels] with 15 % positives."""
    generator = np.random.default_rng(0)
    truth = (generator.random((case.rows, case.labels)) < 0.15).astype(np.float64)
    return [generator.random((1, case.rows, case.labels)) + 0.3 * truth for _ in range(case.arms)], truth


def ours(arms: list[NDArray[np.float64]], truth: NDArray[np.float64], replicates: int) -> NDArray[np.float64]:
    """Replicates of the last arm, [replicates, labels]."""
    return replicate_arms(arms, truth, np.arange(len(truth)), WeightedAuroc, Replicates(replicates, 0))[-1].replicates


def loop(
    auroc_of: AurocOf, arms: list[NDArray[np.float64]], truth: NDArray[np.float64], replicates: int
) -> NDArray[np.float64]:
    """The loop that most people write: draw rows, index, score. Replicates of the last arm, [replicates, labels]."""
    generator = np.random.default_rng(0)
    values = np.empty((replicates, len(arms), truth.shape[1]))
    for replicate in range(replicates):
        rows = generator.integers(0, len(truth), len(truth))
        for arm, scores in enumerate(arms):
            for label in range(truth.shape[1]):
                values[replicate, arm, label] = auroc_of(truth[rows, label], scores[0, rows, label])
    return values[:, -1]


def rank_auroc(truth: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """AUROC as the rank sum of the positives: the shortest way to one value."""
    positives = truth == 1
    count = int(positives.sum())
    ranks = scipy.stats.rankdata(scores)
    return float((ranks[positives].sum() - count * (count + 1) / 2) / (count * (len(truth) - count)))


def scipy_bootstrap(arms: list[NDArray[np.float64]], truth: NDArray[np.float64], replicates: int) -> None:
    """scipy.stats.bootstrap of each arm and label, with a statistic that takes all replicates of a batch at once."""

    def statistic(scores: NDArray[np.float64], known: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        positives = known == 1
        count = positives.sum(axis=axis)
        ranks = scipy.stats.rankdata(scores, axis=axis)
        sums = np.where(positives, ranks, 0.0).sum(axis=axis)
        return np.asarray((sums - count * (count + 1) / 2) / (count * (known.shape[axis] - count)))

    for scores in arms:
        for label in range(truth.shape[1]):
            scipy.stats.bootstrap(
                (scores[0, :, label], truth[:, label]),
                statistic,
                n_resamples=replicates,
                batch=100,
                vectorized=True,
                paired=True,
                method="percentile",
                rng=np.random.default_rng(0),
            )


def largest_difference(arms: list[NDArray[np.float64]], truth: NDArray[np.float64]) -> float:
    """Of five replicates of the last arm from scikit-learn's, on the rows that we drew."""
    drawn = np.concatenate(list(resampled_counts(len(truth), 5, 0, chunk=5)), axis=1)
    values = ours(arms, truth, 5)
    expected = np.array(
        [
            [roc_auc_score(truth[rows, label], arms[-1][0, rows, label]) for label in range(truth.shape[1])]
            for rows in (np.repeat(np.arange(len(truth)), counts) for counts in drawn.T)
        ]
    )
    return float(np.abs(values - expected).max())


def measure(case: Case) -> list[Comparison]:
    """Both loops against ours, in turn."""
    arms, truth = simulate(case)
    click.echo(f"{case.name}: largest difference from scikit-learn {largest_difference(arms, truth):.1e}", err=True)
    scale = REPLICATES / case.loop_replicates
    figures = alternate(
        {
            "ours": lambda: seconds(lambda: ours(arms, truth, REPLICATES)),
            "scikit-learn": lambda: scale * seconds(lambda: loop(roc_auc_score, arms, truth, case.loop_replicates)),
            "ranks": lambda: scale * seconds(lambda: loop(rank_auroc, arms, truth, case.loop_replicates)),
            "scipy": lambda: scale * seconds(lambda: scipy_bootstrap(arms, truth, case.loop_replicates)),
        },
        case.rounds,
    )
    return [
        Comparison(f"{case.name}, {text}", figures["ours"], figures[name], "s", False, goal)
        for name, text, goal in (
            ("scikit-learn", "scikit-learn loop", GOAL),
            ("ranks", "ranks loop", None),
            ("scipy", "scipy.stats.bootstrap", GOAL_SCIPY),
        )
    ]


_LARGE = """
import sys, time
import numpy as np
from benchmarks.bootstrap import Case, simulate
from benchmarks.pairs import own_megabytes
from evaluation.metrics.auroc import WeightedAuroc
from evaluation.statistics.bootstrap import Replicates, replicate_arms
arms, truth = simulate(Case("large", 25_000, 14, 1, 0, 0))
started = time.perf_counter()
replicate_arms(arms, truth, np.arange(len(truth)), WeightedAuroc, Replicates(1_000, 0))
print(time.perf_counter() - started, own_megabytes("VmHWM"))
"""


_METRICS = """
import time
from dataclasses import replace
import numpy as np
from benchmarks.bootstrap import Case, simulate
from benchmarks.pairs import own_megabytes
from evaluation.statistics.analysis import Thresholds, bootstrap_result
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.result import ThresholdCitation
from evaluation.tables.comparison import Arm, Comparison, Draw, Input, LeftOut
from evaluation.tables.subgroups import Subgroups
from evaluation.tables.truth import TruthOrigin
arms, truth = simulate(Case("large", 25_000, 14, 1, 0, 0))
rows, labels = truth.shape
options = AnalysisOptions(metric=("auroc", "ap", "brier", "sensitivity"), replicates=1_000)
comparison = Comparison(
    tuple(f"L{number}" for number in range(labels)),
    truth,
    (Arm("model", arms[0] / 1.3, (Draw(0, None),), (Input("p.csv", None, None),)),),
    "patient_id",
    np.arange(rows),
    False,
    (),
    LeftOut(),
    (),
    TruthOrigin("simulated", rows),
    subgroups={"sex": Subgroups(("female", "male"), np.arange(rows) % 2)},
)
thresholds = Thresholds({"model": np.full((1, labels), 0.5)}, ThresholdCitation("t.json", "0", "youden"))
started = time.perf_counter()
result = bootstrap_result(comparison, options, thresholds=thresholds)
took = time.perf_counter() - started
assert len(result.metrics) == 3 and len(result.subgroups["sex"]) == 2
print(took, own_megabytes("VmHWM"))
"""


def large_cases() -> Sequence[Figure]:
    """Seconds and peak memory of 1,000 replicates of 25,000 rows and 14 labels, each in a process of one thread.

    The AUROC alone, and the whole analysis of four metrics with one division into two subgroups.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    figures = []
    name = "25,000 rows, 14 labels, 1,000 replicates, one thread"
    for program, what in ((_LARGE, name), (_METRICS, f"{name}, 4 metrics, sex")):
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        took, megabytes = map(float, done.stdout.split())
        figures += [Figure(f"{what}: s", took, MOST_SECONDS), Figure(f"{what}: MB", megabytes, MOST_MB)]
    return figures


def _record(figure: Figure) -> dict[str, object]:
    return {
        "name": figure.name,
        "ours": figure.value,
        "theirs": None,
        "unit": figure.name.rsplit(" ", 1)[-1],
        "ratio": figure.value,
        "goal": figure.goal,
        "higher_is_better": False,
    }


@click.command()
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    """Seconds for 500 bootstrap replicates of the AUROC; --quick leaves the 200,000 rows out."""
    rows = [row for case in (CASES[:3] if quick else CASES) for row in measure(case)]
    report(rows, json_path)
    figures = large_cases()
    report_figures(figures, None)
    if json_path is not None:
        records = json.loads(json_path.read_text())
        json_path.write_text(json.dumps(records + [_record(figure) for figure in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
