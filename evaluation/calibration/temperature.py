"""Recalibrate a model by one temperature a label: its logits divided by a number that is fitted on validation.

C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, for one output a label. The order of the scores, and
so the AUROC, stays as it is. The fitted numbers are saved in the model's directory.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.calibration.logistic import fit_logistic
from shards.durable import write_json_atomically
from shards.errors import CxrError
from shards.input_files import read_regular
from shards.json_value import JsonError, JsonValue, parse_json

FILE = "temperature.json"
FORMAT_VERSION = 1
FEWEST_OF_A_CLASS = 10
"""With fewer rows of a class on validation a label keeps its logits."""


class TemperatureError(CxrError):
    """A temperature that cannot be fitted, or is not the model's."""


@dataclass(frozen=True)
class LabelTemperature:
    """temperature: above 1 where the model is too sure; None where it was not fitted, and logits stay as they are."""

    temperature: float | None
    positives: int
    negatives: int


@dataclass(frozen=True)
class Temperatures:
    """model: digest of the weights. dataset: digest of the data. split: what it was fitted on.

    selected_on: what else was selected on which split (the epoch), so that a reader knows where both are one.
    """

    model: str
    dataset: str
    split: str
    selected_on: dict[str, str]
    labels: dict[str, LabelTemperature]

    def apply(self, logits: NDArray[np.floating], labels: tuple[str, ...]) -> NDArray[np.float64]:
        """Divide. logits: [N, L], in the order of labels."""
        divisors = [self.labels[label].temperature or 1.0 for label in labels]
        return np.asarray(logits.astype(np.float64) / np.array(divisors), np.float64)

    @property
    def citation(self) -> dict[str, object]:
        """What the sidecar of recalibrated predictions says."""
        by_label = {label: one.temperature for label, one in self.labels.items()}
        return {"method": "temperature", "split": self.split, "dataset": self.dataset, "temperatures": by_label}


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.float64]) -> LabelTemperature:
    """The temperature of the highest likelihood. logits, truth: [rows]; truth is 1, 0, or anything else: not used."""
    known = np.isin(truth, (0.0, 1.0))
    positive = truth[known] == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if min(positives, negatives) < FEWEST_OF_A_CLASS:
        return LabelTemperature(None, positives, negatives)
    rows = len(positive)
    fit = fit_logistic(logits[known].astype(np.float64)[:, None], positive, np.arange(rows), rows)
    if fit is None or fit.coefficients[0] <= 0:  # scores that are worse than none have no temperature
        return LabelTemperature(None, positives, negatives)
    return LabelTemperature(float(1 / fit.coefficients[0]), positives, negatives)


def save_temperatures(folder: Path, temperatures: Temperatures) -> None:
    """Write them into the model's directory."""
    write_json_atomically(folder / FILE, {"format_version": FORMAT_VERSION, **asdict(temperatures)})


def read_temperatures(folder: Path, model: str) -> Temperatures | None:
    """Read what was saved with a model, None where nothing was. model: digest of the weights.

    Raises TemperatureError for a file that cannot be read, or is of other weights.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = parse_json(read_regular(path))
        version = content.at("format_version").value
        if version != FORMAT_VERSION:
            raise JsonError(f"of version {version!r}; this program reads version {FORMAT_VERSION}")
        found = Temperatures(
            content.at("model").text(),
            content.at("dataset").text(),
            content.at("split").text(),
            {name: one.text() for name, one in content.at("selected_on").fields().items()},
            {label: _label(one) for label, one in content.at("labels").fields().items()},
        )
    except (JsonError, OSError) as error:
        raise TemperatureError(f"{path} cannot be read: {error}. Remove it, and it is fitted again") from error
    if found.model != model:
        raise TemperatureError(
            f"{path} was fitted for other weights than this model's. Remove it, and it is fitted again"
        )
    return found


def _label(content: JsonValue) -> LabelTemperature:
    return LabelTemperature(
        content.nullable("temperature", JsonValue.number),
        content.at("positives").whole(),
        content.at("negatives").whole(),
    )
