"""Write the curves of a comparison beside its result."""

import importlib.metadata
from dataclasses import replace
from pathlib import Path

from evaluation.curves.bands import GRID, BandOptions, label_curves
from evaluation.curves.content import Curves, ReadersFile
from evaluation.curves.readers import Points, with_readers
from evaluation.statistics.analysis import design_of
from evaluation.statistics.options import AnalysisOptions
from evaluation.statistics.remarks import vary_over
from evaluation.statistics.result import ArmInput
from evaluation.tables.comparison import Comparison
from shards.durable import write_json_atomically

_LIBRARIES = ("cxr-moco", "numpy", "scipy")


def write_curves(
    path: Path, comparison: Comparison, options: AnalysisOptions, readers: tuple[Points, ReadersFile] | None = None
) -> Curves:
    """Compute the curves and write them as JSON. readers: what reader_points found in a table of human readers."""
    found = curves_of(comparison, options)
    if readers is not None:
        points, cited = readers
        found = replace(found, labels=with_readers(found.labels, points), readers=cited)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(path, found.as_json())
    return found


def curves_of(comparison: Comparison, options: AnalysisOptions) -> Curves:
    """The curves of every arm and label, on the replicates that bootstrap_result draws with the same options."""
    designs = {arm.name: design_of(arm.draws, options) for arm in comparison.arms}
    bands = BandOptions(options.replicates, options.seed, options.level, designs)
    return Curves(
        level=options.level,
        replicates=bands.used,
        seed=options.seed,
        unit=comparison.unit_name,
        units=comparison.units,
        over=vary_over(comparison.unit_name, list(designs.values())),
        grid=GRID,
        labels=label_curves(comparison, bands),
        truth=comparison.truth_origin,
        arms={
            arm.name: tuple(
                ArmInput(file.path, file.sha256, draw.number, draw.pretraining_seed, file.sidecar)
                for file, draw in zip(arm.files, arm.draws, strict=True)
            )
            for arm in comparison.arms
        },
        readers=None,
        versions={name: importlib.metadata.version(name) for name in _LIBRARIES},
    )
