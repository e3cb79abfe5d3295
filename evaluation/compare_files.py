"""Compare files of predictions with the truth: choose the arms, read, join by id, bootstrap, write the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.curves.files import write_curves
from evaluation.curves.readers import reader_points
from evaluation.metrics.metrics import METRICS
from evaluation.statistics.analysis import Thresholds, bootstrap_result
from evaluation.statistics.options import BootstrapOptions, PredictionOptions
from evaluation.statistics.remarks import fewest_replicates, missing_thresholds
from evaluation.statistics.result import BootstrapResult
from evaluation.tables.arm_files import ArmFiles
from evaluation.tables.comparison import ArmTables, Comparison, compare
from evaluation.tables.leakage import Allowed
from evaluation.tables.table import read_predictions
from evaluation.tables.truth import read_truth
from evaluation.threshold_files import read_thresholds, thresholds_for
from shards.durable import write_json_atomically

MODEL, BASELINE = "model", "baseline"


@dataclass(frozen=True)
class Arms:
    """The arms of a comparison. reference: the one that the others are compared with; None where there is one arm."""

    arms: tuple[ArmFiles, ...]
    reference: str | None


def bootstrap(
    options: BootstrapOptions, advance: Callable[[int], None] = lambda replicates_done: None
) -> BootstrapResult:
    """Compare arms of predictions: each arm's metric by label, and its difference from the reference, with intervals.

    Writes the result to options.output as JSON (and the curves to options.curves), and returns it:
    `.labels[LABEL].arms[ARM].value` and `.ci` (both in 0..1 for an AUROC), `.labels[LABEL].differences[ARM].p_value`;
    None where a figure is undefined. advance is told of replicates as they are done. Raises ValueError for options that
    contradict each other, TableError where truth and predictions cannot be joined, DatasetError for shards that cannot
    be read.
    """
    arms = arms_of(options)
    comparison = joined(options, arms)
    readers = None if options.readers is None else reader_points(options.readers, comparison, options.level)
    result = bootstrap_result(comparison, options, arms.reference, advance, _thresholds(options, comparison))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(options.output, result.as_json())
    if options.curves is not None:
        write_curves(options.curves, comparison, options, readers)
    return result


def arms_of(options: BootstrapOptions) -> Arms:
    """The arms that the options name. Raises ValueError where the options contradict each other."""
    arms = named_arms(options)
    names = [arm.name for arm in arms]
    reference = options.reference or (BASELINE if options.baseline else None)
    if reference is not None and reference not in names:
        raise ValueError(f"--reference {reference} is none of the arms: {', '.join(names)}")
    if reference is None and len(arms) > 1:
        raise ValueError(f"--reference is needed: which of {', '.join(names)} are the others compared with?")
    if options.replicates < fewest_replicates(options.level):
        raise ValueError(
            f"--replicates {options.replicates} are too few for --level {options.level:g}: at least "
            f"{fewest_replicates(options.level)} are needed"
        )
    if not options.metric:
        raise ValueError("--metric names no metric")
    repeated = sorted({name for name in options.metric if options.metric.count(name) > 1})
    if repeated:
        raise ValueError(f"--metric names {repeated[0]} twice")
    decisions = missing_thresholds(options.metric)
    if decisions and options.thresholds is None:
        raise ValueError(decisions)
    if options.thresholds is not None and not decisions:
        raise ValueError("--thresholds are given, and no --metric is one of decisions (sensitivity, ...)")
    _refuse_outputs(options, arms)
    return Arms(arms, reference if len(arms) > 1 else None)


def _refuse_outputs(options: BootstrapOptions, arms: Sequence[ArmFiles]) -> None:
    """Neither the result nor the curves may be written over what is read, or over each other."""
    if options.readers is not None and options.curves is None:
        raise ValueError("--readers needs --curves, the file that their operating points are written to")
    read = [path for path in (options.thresholds, options.readers) if path is not None]
    refuse_output_that_is_read(options, arms, *read)
    if options.curves is not None:
        if options.curves.resolve() == options.output.resolve():
            raise ValueError(f"--curves {options.curves} is --output too: name another file")
        refuse_output_that_is_read(options, arms, *read, output=options.curves, name="--curves")


def named_arms(options: PredictionOptions) -> tuple[ArmFiles, ...]:
    """The arms by --arm, or by --model and --baseline. Raises ValueError for both, neither, or an arm named twice."""
    short = [
        ArmFiles(name, tuple(path for files in given for path in files))
        for name, given in ((MODEL, options.model), (BASELINE, options.baseline))
        if given
    ]
    if options.arm and short:
        raise ValueError("--model and --baseline are the short form of two arms: give either them or --arm")
    if not options.arm and not options.model:
        raise ValueError("Missing option '--arm' (or '--model'): which predictions are to be judged?")
    arms = tuple(options.arm or short)
    names = [arm.name for arm in arms]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"--arm {repeated[0]} is given twice: name all of its files in one, with commas")
    return arms


def joined(options: BootstrapOptions, arms: Arms) -> Comparison:
    """Read truth and predictions as arrays. The tables, which take more memory than the bootstrap, are freed."""
    read = [ArmTables(arm.name, tuple(t for path in arm.files for t in read_predictions(path))) for arm in arms.arms]
    truth = read_truth(options.labels, [table for arm in read for table in arm.tables])
    needs_probabilities = any(METRICS[metric].needs_probabilities for metric in options.metric)
    return compare(
        truth,
        read,
        options.cluster,
        probabilities=needs_probabilities,
        allowed=options.allow_different,
        leakage=Allowed(options.allow_seen_patients, options.allow_unknown_patients),
        by=options.by,
    )


def _thresholds(options: BootstrapOptions, comparison: Comparison) -> Thresholds | None:
    if options.thresholds is None:
        return None
    file = read_thresholds(options.thresholds)
    return Thresholds(thresholds_for(file, comparison), file.citation)


def refuse_output_that_is_read(
    options: PredictionOptions,
    arms: Sequence[ArmFiles],
    *others: Path,
    output: Path | None = None,
    name: str = "--output",
) -> None:
    """No output is ever an input: neither truth nor predictions, nor their sidecars, nor a file inside of them.

    output, name: what is written, and its option; --output unless given.
    """
    given = options.output if output is None else output
    written = given.resolve()
    for path in (options.labels, *(file for arm in arms for file in arm.files), *others):
        read = path.resolve()
        if written in (read, Path(f"{read}.json")) or (path.is_dir() and read in written.parents):
            raise ValueError(f"{name} {given} would overwrite {path}, which is read: name another file")
