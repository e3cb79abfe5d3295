"""`cxr-eval bootstrap`."""

from typing import TYPE_CHECKING, Any

import click

from evaluation.statistics.options import BootstrapOptions
from shards.durable import write_json_atomically
from shards.terminal.options import OptionsCommand, takes
from shards.terminal.progress import progress

if TYPE_CHECKING:
    from evaluation.tables.comparison import Comparison


@click.command(cls=OptionsCommand)
@takes(BootstrapOptions)
def bootstrap(options: BootstrapOptions) -> None:
    """Bootstrap intervals of a model's AUROC by label, and of its difference from a baseline.

    Reads truth (--labels: a CSV or Parquet file, or a dataset of shards, of which the predictions' split is taken)
    and predictions (CSV, Parquet, or a Zarr group `scores`). The first column is the id: `key`, `Study` (compared
    on its last two components) or `Path` (its last three; in the truth also matched to keys and studies). Both sides
    must hold the same ids. The labels that all files share are used. Truth is 1, 0, -1 (uncertain) or blank; rows
    with -1 or blank are left out of that label. Where predictions are by Study and the truth by image, a study is 1
    if any image is 1, else uncertain if any is -1, else 0 if any is 0.

    Resamples --cluster, else patient_id where the truth has it, else the id; all arms and labels share the
    replicates. Several --model (or --baseline) are draws of one arm: each replicate's metric is averaged over them,
    and the intervals are conditional on those draws.

    Writes --output: by label and for the mean over labels, value and percentile interval of the model, the baseline
    and the difference, with p-values (DeLong's only for single draws without clusters).
    """
    from evaluation.statistics.result import bootstrap_result

    comparison = _joined(options)
    with progress(options.replicates, "bootstrap", "replicates") as bar:
        result = bootstrap_result(
            comparison,
            metric=options.metric,
            replicates=options.replicates,
            level=options.level,
            seed=options.seed,
            advance=bar.advance,
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(options.output, result)
    click.echo(summary(result))
    click.echo(f"{options.output} written")


def _joined(options: BootstrapOptions) -> "Comparison":
    """Read truth and predictions as arrays. The tables, which take more memory than the bootstrap, are freed."""
    from evaluation.tables.comparison import compare
    from evaluation.tables.table import read_predictions
    from evaluation.tables.truth import read_truth

    arms = [
        [table for path in paths for table in read_predictions(path)]
        for paths in (options.model, options.baseline)
        if paths
    ]
    truth = read_truth(options.labels, [table for arm in arms for table in arm])
    return compare(truth, arms, options.cluster)


def summary(result: dict[str, Any]) -> str:
    """The result as a table for the terminal: a row a label, then the mean."""
    rows = [*result["labels"].items(), *([("mean", result["mean"])] if len(result["labels"]) > 1 else [])]
    columns = [name for name in ("model", "baseline", "difference") if name in result["mean"]]
    cells = [["", "n", "positive", *columns, *(["p"] if "difference" in columns else [])]]
    for name, row in rows:
        line = [name, str(row.get("n", "")), str(row.get("positives", ""))]
        line += [_interval(row[column]) for column in columns]
        if "difference" in columns:
            p_value = row["difference"]["p_value"]
            line.append("" if p_value is None else f"{p_value:.3f}")
        cells.append(line)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    header = f"{result['metric'].upper()}, {100 * result['level']:g} % intervals of {result['replicates']} replicates"
    lines = [f"{header} by {result['unit']}"]
    for line in cells:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def _interval(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None:
        return "undefined"
    low_high = "" if estimate["ci"] is None else " ({:.3f}, {:.3f})".format(*estimate["ci"])
    return f"{estimate['value']:.3f}{low_high}"
