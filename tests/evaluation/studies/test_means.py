"""The mean gain over datasets: equal weights, one interval, in which a pretraining seed counts for all at once."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.metrics.influence import Component
from evaluation.statistics.draws import design, difference_components
from evaluation.statistics.estimates import Sample, difference_estimate
from evaluation.statistics.intervals import t_interval
from evaluation.statistics.result import Value
from evaluation.studies.families import JudgedResult
from evaluation.studies.means import MeanGain, mean_gains
from evaluation.tables.comparison import Draw
from training.studies.cells import Comparison

SEEDS, DRAWS = (0, 1, 2), tuple(range(10))
FILES = [Draw(draw, seed) for seed in SEEDS for draw in DRAWS]
Array = NDArray[np.float64]


def comparison(target: str, fraction: float, *, dataset: str = "") -> Comparison:
    described = SimpleNamespace(name=target, dataset=dataset or target, fractions=(0.01, 1.0))
    return Comparison("tiny", "probe", "default", cast(Any, described), fraction, arms={})


def judged(
    target: str, start: Array, moco: Array, by_unit: Array, *, fraction: float = 0.01, dataset: str = "",
    rare: int = 40, over: tuple[str, ...] = ("patients", "draws", "seeds"),
) -> JudgedResult:  # fmt: skip
    """A comparison of two arms. start, moco: [files]; by_unit: influence values of their difference.

    A start of as many files as there are draws is the same for all seeds, and has those of the first one alone.
    """
    files = {"start": FILES[: len(start)], "moco": FILES}
    parts = difference_components(design(FILES), moco, design(files["start"]), start)
    between = parts if "seeds" in over else []
    nothing = np.zeros(1)
    value = np.array([moco.mean() - start.mean()])
    sample = Sample(value, nothing, nothing, by_unit, np.nan, between)
    result = SimpleNamespace(
        reference="start",
        over=over,
        level=0.95,
        units=len(by_unit),
        unit="patient_id",
        replicates=2000,
        labels={"Edema": SimpleNamespace(positives=rare, negatives=40)},
        inputs=SimpleNamespace(
            arms={
                arm: [SimpleNamespace(draw=file.number, pretraining_seed=file.pretraining_seed) for file in of_arm]
                for arm, of_arm in files.items()
            }
        ),
        mean=SimpleNamespace(
            labels=("Edema",),
            undefined_replicates=0,
            arms={
                name: Value(value=float(values.mean()), draws=tuple(map(float, values)))
                for name, values in (("start", start), ("moco", moco))
            },
            differences={"moco": difference_estimate(sample, len(by_unit) - 1, 0.95)},
        ),
    )
    return JudgedResult(target, comparison(target, fraction, dataset=dataset), "auroc", None, cast(Any, result))


def simulated(generator: np.random.Generator, gain: float = 0.0, targets: Sequence[str] = "abcd") -> list[JudgedResult]:
    """Targets of 80 patients whose gain varies by patient, by draw, and by seed, the last alike in all of them."""
    of_seed = generator.normal(0, 0.03, len(SEEDS))
    found = []
    for target in targets:
        noise = generator.normal(0, 0.3, 80)
        by_unit = (noise - noise.mean()) / 80 * np.sqrt(80 / 79)
        of_draw = generator.normal(0, 0.05, len(DRAWS))
        gains = gain + noise.mean() + of_seed[:, None] + of_draw + generator.normal(0, 0.01, (3, 10))
        start = np.tile(0.7 + generator.normal(0, 0.05, len(DRAWS)), len(SEEDS))
        found.append(judged(target, start, start + gains.ravel(), by_unit))
    return found


def planned(*targets: str) -> list[Comparison]:
    return [comparison(target, fraction) for target in targets for fraction in (0.01, 1.0)]


def the_mean(results: Sequence[JudgedResult]) -> MeanGain:
    (found,) = mean_gains(planned(*(one.name for one in results)), results)
    return found


def test_the_variances_of_patients_and_draws_add_and_that_of_seeds_is_of_their_means_over_datasets() -> None:
    results = simulated(np.random.default_rng(0))
    parts: list[Component] = []
    by_seed = np.zeros(3)
    for one in results:
        start, moco = (np.array(one.result.mean.arms[arm].draws).reshape(3, 10) for arm in ("start", "moco"))
        by_draw = (moco - start).mean(axis=0)
        by_seed += (moco - start).mean(axis=1) / 4
        difference = one.result.mean.differences["moco"]
        assert difference.conditional_ci is not None
        assert difference.value is not None
        units = ((difference.value - difference.conditional_ci[0]) / 1.990450) ** 2  # t of 79 degrees of freedom
        parts += [Component(units / 16, 79), Component(by_draw.var(ddof=1) / 10 / 16, 9)]
    parts.append(Component(by_seed.var(ddof=1) / 3, 2))
    variance = sum(part.variance for part in parts)
    df = variance**2 / sum(part.variance**2 / part.df for part in parts)
    found = the_mean(results)
    expected = t_interval(found.value, Component(variance, df), 0.95)
    assert expected is not None
    assert found.ci == pytest.approx(expected[0], rel=1e-3)
    assert found.value == pytest.approx(by_seed.mean())
    assert found.targets == tuple((name, 0.01) for name in "abcd")
    assert "mean auroc gain of moco over start, tiny by probe, at a 1 %, b 1 %, c 1 %, d 1 %: " in found.sentence


def test_the_interval_covers_no_gain_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        found = the_mean(simulated(generator))
        assert found.ci is not None
        covered += found.ci[0] <= 0 <= found.ci[1]
    assert 366 <= covered <= 398  # 0.95 of 400 is 380; Satterthwaite's errs towards too wide with three seeds


def test_seeds_alone_give_the_interval_where_neither_patients_nor_draws_vary() -> None:
    start = np.full(30, 0.7)
    gains = np.repeat([0.01, 0.05, 0.06], 10)
    found = the_mean([judged(name, start, start + gains, np.zeros(80)) for name in "ab"])
    error = np.sqrt(np.var([0.01, 0.05, 0.06], ddof=1) / 3)
    assert found.ci == pytest.approx((0.04 - 4.302653 * error, 0.04 + 4.302653 * error), rel=1e-6)


def test_a_start_that_all_seeds_share_gives_the_interval_of_one_that_is_there_for_each() -> None:
    results = simulated(np.random.default_rng(6))
    alone: list[list[JudgedResult]] = []
    for one in results:
        start, moco = of_files(one)
        by_unit = np.random.default_rng(len(alone)).normal(0, 0.004, 80)
        alone.append([judged(one.name, given, moco, by_unit) for given in (start, start[:10])])
    for_each, shared = ([pair[place] for pair in alone] for place in (0, 1))
    assert the_mean(shared).value == pytest.approx(the_mean(for_each).value)
    assert the_mean(shared).ci == pytest.approx(the_mean(for_each).ci)


def test_seeds_that_are_taken_as_fixed_are_in_no_interval() -> None:
    start, moco = of_files(simulated(np.random.default_rng(7), targets="a")[0])
    by_unit = np.random.default_rng(8).normal(0, 0.01, 80)
    found = the_mean([judged(name, start, moco, by_unit, over=("patients",)) for name in "ab"])
    error = np.sqrt(np.sum(by_unit**2) / 2)
    assert found.ci is not None
    assert found.ci[1] - found.value == pytest.approx(1.975 * error, rel=0.01)  # t of two times 79


def of_files(one: JudgedResult) -> tuple[Array, Array]:
    return np.array(one.result.mean.arms["start"].draws), np.array(one.result.mean.arms["moco"].draws)


def test_there_is_no_mean_of_some_of_the_targets_of_one_dataset_twice_or_of_one_alone() -> None:
    results = simulated(np.random.default_rng(3), targets="ab")
    assert mean_gains(planned("a", "b", "c"), results) == []
    assert mean_gains(planned("a"), results[:1]) == []
    again = judged("b", *of_files(results[0]), np.full(80, 0.01), dataset="a")
    assert mean_gains([*planned("a"), comparison("b", 0.01, dataset="a")], [results[0], again]) == []
    higher = judged("b", *of_files(results[1]), np.full(80, 0.01), fraction=1.0)
    assert mean_gains(planned("a", "b"), [results[0], higher]) == []


def test_a_target_without_an_interval_leaves_the_mean_without_one() -> None:
    results = simulated(np.random.default_rng(4), targets="ab")
    start, _ = of_files(results[1])
    found = the_mean([results[0], judged("b", start, start, np.zeros(80))])
    assert found.ci is None
    assert found.p_value is None
    assert found.sentence.endswith(f"{found.value:+.3f}")


def test_what_is_weak_in_one_dataset_is_said_of_the_mean() -> None:
    results = simulated(np.random.default_rng(5), targets="ab")
    few = judged("b", *of_files(results[1]), np.full(80, 0.01), rare=9)
    assert the_mean(results).weak == ""
    assert the_mean([results[0], few]).weak == "b: fewer than 10 of a class"
