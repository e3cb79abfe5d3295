"""Run a command of `cxr-eval` in this process."""

from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval


def run(*words: object) -> Result:
    """Run `cxr-eval` with these words."""
    return CliRunner().invoke(cxr_eval, [str(word) for word in words])
