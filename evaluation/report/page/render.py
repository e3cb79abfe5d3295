"""Write one self-contained HTML page of a study folder: main result, participants, gains, methods, training, versions.

The page loads nothing from other files or from the network, and holds no image of a patient unless asked to.
"""

import datetime
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from evaluation.report.curves import run_view, tuning_figures
from evaluation.report.figures import Panel, forest_figure, percent, reliability_figures
from evaluation.report.figures.style import shortened
from evaluation.report.gains import gain_tables
from evaluation.report.health import side_by_side
from evaluation.report.page.forests import Titled, gain_forests, subgroup_forests
from evaluation.report.page.operating import operating_views, sheets
from evaluation.report.participants.datasets_at_hand import datasets_at_hand
from evaluation.report.participants.section import participants, variants
from evaluation.report.prose.caveats import caveats
from evaluation.report.prose.cost import cost
from evaluation.report.prose.headline import headline
from evaluation.report.prose.methods import methods
from evaluation.report.prose.warnings import warnings
from evaluation.report.study import ReportError, Study, collect
from evaluation.report.tables.comparisons import further_view, others_view
from evaluation.report.tables.gain_table import gain_view
from evaluation.report.tables.models import model_rows
from evaluation.report.tables.sources import dataset_rows, digest_rows, result_rows
from evaluation.report.tables.subgroups import subgroups_view
from evaluation.report.text import counted, few_of
from shards.durable import write_atomically


def write_report(root: Path, output: Path, *, with_images: bool, missing: Sequence[str] = ()) -> Study:
    """Write the page of a study folder, whole or not at all.

    Raises ReportError where nothing is found, or where output is a file that is no page: it may be one that is read.
    """
    if output.exists() and not output.read_bytes()[:100].lstrip().lower().startswith(b"<!doctype html"):
        raise ReportError(f"{output} is there and is no HTML page: name another --output")
    study = collect(root)
    page = render(study, with_images=with_images, missing=missing)
    output.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(output) as file:
        file.write(page.encode())
    return study


def render(study: Study, *, with_images: bool, missing: Sequence[str] = ()) -> str:
    """The page as HTML. with_images: embed the two-view sheets of the runs. missing: what a study plans and lacks."""
    runs = {run.backbone.digest: run.name for run in study.runs if run.backbone and run.backbone.digest}
    tables, others = gain_tables(study.results, runs)
    at_hand = datasets_at_hand(study)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evaluation.report.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "few_of": few_of, "css_text": css_text}
    drawn, not_drawn = sheets(study.curves)
    return environment.get_template("report.html").render(
        title=study.root.resolve().name,
        made=datetime.datetime.now().astimezone().strftime("%-d %B %Y, %H:%M %Z"),
        versions=_versions(),
        counts=_counts(study),
        headline=headline(tables, others, study.results),
        caveats=caveats(study, tables),
        warnings=warnings(study, missing, at_hand.damaged),
        participants=participants(study, at_hand),
        methods=methods(study, variants(study, at_hand)),
        cost=cost(study),
        tables=[gain_view(table, f"g{number}", study.results) for number, table in enumerate(tables)],
        forests=[forest_panels(gain_forests(table), f"f{number}") for number, table in enumerate(tables)],
        means=study.means,
        operating=operating_views(drawn, "o"),
        curves_not_drawn=not_drawn,
        further=further_view(study.results),
        subgroups=subgroups_view(study.results),
        subgroup_forests=[
            (result.name, forest_panels(subgroup_forests(result), f"s{number}"))
            for number, result in enumerate(study.results)
            if result.content.subgroups
        ],
        calibrations=study.calibrations,
        reliability=list(reliability_figures(study.calibrations, "c")),
        others=others_view(others),
        runs=[run_view(run, f"p{number}", with_images=with_images) for number, run in enumerate(study.runs)],
        side_by_side=side_by_side(study.runs),
        tuning=tuning_figures(study.models),
        models=model_rows(study.models, runs),
        datasets=dataset_rows(study),
        results=result_rows(study.results),
        digests=digest_rows(study),
    )


@dataclass(frozen=True)
class ForestPanels:
    """Forest plots: of the first label (the mean, where there is one), and of the others."""

    first: list[Panel]
    others: list[Panel]


def forest_panels(forests: Mapping[str, Sequence[Titled]], identity: str) -> ForestPanels:
    """Draw forest plots by label. identity: prefix of the figures' ids."""
    panels = [
        [forest_figure(forest, title, f"{identity}n{number}p{place}") for place, (title, forest) in enumerate(plots)]
        for number, plots in enumerate(forests.values())
    ]
    return ForestPanels(panels[0] if panels else [], [panel for of_label in panels[1:] for panel in of_label])


def css_text(text: str) -> str:
    """A text as a string of a style sheet, which no text can end or leave; isolated, so that it turns no other around.

    At most 70 characters: it stands at the head of a printed sheet.
    """
    written = "".join(
        character if character.isascii() and (character.isalnum() or character == " ") else f"\\{ord(character):x} "
        for character in f"\u2068{shortened(text, 70)}\u2069"
    )
    return f'"{written}"'


def _counts(study: Study) -> str:
    kinds = (("pretraining run", study.runs), ("model", study.models), ("bootstrap result", study.results))
    return ", ".join(counted(len(found), name) for name, found in kinds)


def _versions() -> str:
    try:
        own = importlib.metadata.version("cxr-moco")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"
    return f"cxr-moco {own}, Python {platform.python_version()}"
