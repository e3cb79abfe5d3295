"""Spell what a dataset holds as tables of text."""

from collections.abc import Sequence

from ingest.images.suspicious import tell
from ingest.inspection.info import LABEL_STATES, Overview
from shards.format.schema import SPLITS


def as_text(summary: Overview) -> str:
    """Spell the overview as tables."""
    splits = [split for split in SPLITS if summary.splits[split].samples]
    tables = [_counts(summary, splits), *(_labels(summary, split) for split in splits), _order(summary, splits)]
    lines = [*_heading(summary), ""]
    for table in tables:
        lines += [*_aligned(table), ""]
    return "\n".join([*lines, *_left_out(summary)])


def _heading(summary: Overview) -> list[str]:
    size, pixels = summary.images, summary.pixels
    known = pixels.mean is not None and pixels.std is not None
    mean = f"{pixels.mean:.2f} ± {pixels.std:.2f}" if known else "none (no train split)"
    options = ", ".join(f"{key} {value}" for key, value in summary.options.items() if key != "source_tables")
    return [
        f"{summary.name} ({summary.variant}), digest {summary.digest}",
        f"Licence: {summary.licence}",
        f"Options: {options}",
        f"Images: short side {size.short_side.least} to {size.short_side.most}, "
        f"long side {size.long_side.least} to {size.long_side.most}, "
        f"{size.mean_bytes / 1e3:.1f} kB each, {summary.bytes / 1e6:,.1f} MB in all",
        f"Pixels of train: {mean}",
    ]


def _counts(summary: Overview, splits: Sequence[str]) -> list[list[str]]:
    counted = [summary.splits[split] for split in splits]
    table = [
        ["", *splits],
        ["samples", *(f"{counts.samples:,}" for counts in counted)],
        ["patients", *(f"{counts.patients:,}" for counts in counted)],
        ["shards", *(f"{counts.shards:,}" for counts in counted)],
    ]
    columns = {"projection": summary.projection, "ap_pa": summary.ap_pa, "sex": summary.sex, "age": summary.age}
    for column, values in columns.items():
        table.append([column])
        table += [[f"  {value}", *(f"{n[split]:,}" for split in splits)] for value, n in values.items()]
    return table


def _labels(summary: Overview, split: str) -> list[list[str]]:
    states = (*LABEL_STATES, "missing")
    table = [[f"labels, {split}", *states]]
    for label, by_split in summary.labels.items():
        table.append([f"  {label}", *(f"{by_split[split][state]:,}" for state in states)])
    return table


def _order(summary: Overview, splits: Sequence[str]) -> list[list[str]]:
    found = [summary.mixing[split] for split in splits]
    figures: dict[str, list[float | None]] = {
        "mixing score (1: shuffled, 0: source order)": [one.score for one in found],
        "correlation with the source's order": [one.correlation for one in found],
        "neighbours of one patient": [one.same_patient_neighbours for one in found],
        "  expected by chance": [one.expected for one in found],
    }
    table = [["order", *splits]]
    for words, values in figures.items():
        table.append([f"  {words}", *("unknown" if value is None else f"{value:,}" for value in values)])
    return table


def _left_out(summary: Overview) -> list[str]:
    lines = [f"Excluded from every subset: {summary.excluded:,}"]
    lines += [f"  {sum(counts.values()):,} {kind}" for kind, counts in summary.exclusions.items()]
    duplicates, suspicious = summary.duplicates, summary.suspicious
    lines.append("Duplicates: not looked for" if duplicates is None else f"Duplicates: {duplicates}")
    lines.append(f"Rejected: {summary.rejected.rows:,}")
    lines += [f"  {count:,} {kind}" for kind, count in summary.rejected.kinds.items()]
    if suspicious is None:
        lines.append("Suspicious: not looked for")
    elif suspicious.images:
        lines.append(tell(suspicious.first, suspicious.images))
    else:
        lines.append("Suspicious: 0")
    return lines


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, numbers to the right."""
    columns = max(len(row) for row in table)
    full = [[*row, *[""] * (columns - len(row))] for row in table]
    widths = [max(len(row[i]) for row in full) for i in range(columns)]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in full
    ]
