"""Run a command of this project in this process, and say how it has to refuse: in words, with nothing written."""

from pathlib import Path

from click.testing import CliRunner, Result

from evaluation.cli.main import main as cxr_eval
from ingest.cli.main import main as cxr_ingest
from training.cli.main import main as cxr_train

CPU = ("--device", "cpu", "--threads", 1)
PRETRAINING = (
    *("--init", "random", "--image-size", 32, "--queue-size", 8, "--batch-size", 8, "--batch-norm", "none"),
    *("--optimizer", "sgd", "--lr", 0.01, "--momentum", 0.9, "--schedule", "constant", "--log-every", 1),
)
"""A run of a ResNet-18 on small images, whose checkpoints are small."""


def run_ingest(*words: object) -> Result:
    return CliRunner().invoke(cxr_ingest, [str(word) for word in words])


def run_train(*words: object) -> Result:
    return CliRunner().invoke(cxr_train, [str(word) for word in words])


def run_eval(*words: object) -> Result:
    return CliRunner().invoke(cxr_eval, [str(word) for word in words])


def refused(result: Result, *said: str) -> None:
    """Assert that a command ended with a sentence that holds these words, without a traceback or torch's advice."""
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    text = " ".join(result.output.split())
    for words in said:
        assert words in text, (words, text)
    for advice in ("weights_only", "arbitrary code", "safe_globals", "trusted source", "Traceback"):
        assert advice not in text, text


def flip(path: Path, place: float | int) -> None:
    """Flip a bit of a file. place: a byte, or a fraction of the file."""
    content = bytearray(path.read_bytes())
    content[place if isinstance(place, int) else int(place * len(content))] ^= 4
    path.write_bytes(content)
