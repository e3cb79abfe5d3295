"""cxr-eval: registers the commands, one file each."""

import click

from evaluation.cli.bootstrap import bootstrap
from evaluation.cli.calibration import calibration
from evaluation.cli.compare_runs import compare_runs
from evaluation.cli.embed import embed
from evaluation.cli.predict import predict
from evaluation.cli.report import report
from evaluation.cli.study import study
from evaluation.cli.thresholds import thresholds
from shards.terminal.group import Group, version_option


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@version_option
def main() -> None:
    """Embed, predict, compare with confidence intervals, and report."""


for command in (embed, predict, thresholds, bootstrap, calibration, report, compare_runs, study):
    main.add_command(command)
