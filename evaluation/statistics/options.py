"""The options of `cxr-eval bootstrap`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from evaluation.metrics.metrics import METRICS
from evaluation.statistics.thresholds import Rule, RuleType
from evaluation.tables.agreement import DIFFERENCES
from evaluation.tables.arm_files import ArmFiles, ArmFilesType, FilesType
from evaluation.tables.subgroups import By, ByType
from shards.terminal.options import NamesOf, Number, option

_FILES = "Input and output"
_INTERVALS = "Intervals"


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """Which predictions are judged by which truth, and where the result goes."""

    labels: Path = option(
        type=click.Path(exists=True, path_type=Path),
        help="Truth: a CSV or Parquet file, or a dataset of shards.",
        group=_FILES,
    )
    arm: tuple[ArmFiles, ...] = option(
        (),
        ArmFilesType(),
        multiple=True,
        metavar="NAME=FILE[,FILE...]",
        help="An arm and its predictions, one file (or quoted pattern) a draw; repeat for further arms.",
        group=_FILES,
    )
    model: tuple[tuple[Path, ...], ...] = option(
        (),
        FilesType(),
        multiple=True,
        metavar="FILE",
        help="Predictions of an arm called model; repeat for further draws. Short for --arm model=FILE.",
        group=_FILES,
    )
    baseline: tuple[tuple[Path, ...], ...] = option(
        (),
        FilesType(),
        multiple=True,
        metavar="FILE",
        help="Predictions of an arm called baseline, the reference; repeat for further draws.",
        group=_FILES,
    )
    output: Path = option(type=click.Path(dir_okay=False, path_type=Path), help="JSON file to write.", group=_FILES)


@dataclass(frozen=True, kw_only=True)
class FileOptions(PredictionOptions):
    """What is compared, and with what."""

    reference: str | None = option(
        None, metavar="NAME", help="Arm that the others are compared with.", group=_FILES, unset="baseline"
    )
    allow_different: tuple[str, ...] = option(
        (),
        NamesOf(DIFFERENCES),
        metavar="NAME[,NAME...]",
        help="In what the arms may differ beside their weights, said in the result: " + ", ".join(DIFFERENCES) + ".",
        group=_FILES,
    )
    thresholds: Path | None = option(
        None,
        click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="T.json",
        help="Thresholds for metrics of decisions, which `cxr-eval thresholds` chose on other data of the same models.",
        group=_FILES,
    )
    curves: Path | None = option(
        None,
        click.Path(dir_okay=False, path_type=Path),
        metavar="CURVES.json",
        help="JSON file to write with ROC and precision-recall curves and their bands, which the report draws.",
        group=_FILES,
    )
    readers: Path | None = option(
        None,
        click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Table of human readers, whose operating points stand beside the curves (with --curves): their calls "
        "(id, reader, a column a label), or reader, label, sensitivity and specificity.",
        group=_FILES,
    )


@dataclass(frozen=True, kw_only=True)
class ThresholdOptions(PredictionOptions):
    """Options of `cxr-eval thresholds`."""

    rule: Rule = option(
        Rule("youden"),
        RuleType(),
        metavar="youden|specificity=X|sensitivity=X",
        help="How a threshold is chosen: the highest sensitivity + specificity, or at least X of one of them.",
        group="Thresholds",
    )
    level: float = option(
        0.95,
        Number(0, 1, min_open=True, max_open=True),
        help="Confidence level of Wilson's intervals.",
        group="Thresholds",
    )


@dataclass(frozen=True, kw_only=True)
class LeakageOptions:
    """What is judged although the weights have seen it, or may have."""

    allow_seen_patients: bool = option(
        False, help="Judge predictions of patients that the weights have seen; the result says so.", group=_FILES
    )
    allow_unknown_patients: bool = option(
        False,
        help="Judge predictions of weights of which it is not known what they have seen; the result says so.",
        group=_FILES,
    )


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """How values, intervals and p-values are computed."""

    metric: tuple[str, ...] = option(
        ("auroc",),
        NamesOf(tuple(METRICS)),
        metavar="NAME[,NAME...]",
        help="Metrics to compute, of which the first is the result's own: "
        + ", ".join(METRICS)
        + ". Those of decisions "
        "(sensitivity and what follows it) need --thresholds.",
        group=_INTERVALS,
    )
    replicates: int = option(
        10_000,
        click.IntRange(1, 10_000_000),
        help="Number of bootstrap replicates, at least 20 / (1 - level); the paper has 500.",
        group=_INTERVALS,
    )
    level: float = option(
        0.95, Number(0, 1, min_open=True, max_open=True), help="Confidence level of the intervals.", group=_INTERVALS
    )
    interval: Literal["auto", "percentile", "bca"] = option(
        "auto",
        click.Choice(["auto", "percentile", "bca"]),
        help="Intervals of values. auto chooses by the number of positives and negatives (docs/statistics.md).",
        group=_INTERVALS,
    )
    over: Literal["draws", "fixed"] = option(
        "draws",
        click.Choice(["draws", "fixed"]),
        help="Include the variation between draws and pretraining seeds where there are three or more, or take them "
        "as fixed.",
        group=_INTERVALS,
    )
    cluster: str | None = option(
        None,
        metavar="COLUMN",
        help="Column of the truth whose values are resampled.",
        group=_INTERVALS,
        unset="the patient where ids or tables name one, else the id",
    )
    holm: bool = option(
        False, help="Correct the p-values of all labels and differences together by Holm's method.", group=_INTERVALS
    )
    by: tuple[By, ...] = option(
        (),
        ByType(),
        metavar="COLUMN[:CUT...][,...]",
        help="Columns of the truth that make subgroups, with cuts for numbers: sex,age:40:60:80.",
        group=_INTERVALS,
    )
    seed: int = option(0, click.IntRange(0, 2**63 - 1), help="Seed of the bootstrap.", group=_INTERVALS)


@dataclass(frozen=True, kw_only=True)
class BootstrapOptions(AnalysisOptions, LeakageOptions, FileOptions):
    """All options of the command."""
