"""Read the results of a study that concern one backbone, for its model card."""

import csv
from dataclasses import dataclass
from pathlib import Path

from shards.json_value import JsonError, parse_json
from training.backbones.description import read_description
from training.errors import StudyError
from training.runs.files import BACKBONE
from training.studies.cells import RUNS
from training.studies.study_file import read_study

STUDY, GAINS = "study.yaml", Path("tables") / "gains.csv"


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, as the table has them; blank where there is none."""

    value: str
    low: str
    high: str

    def text(self) -> str:
        """The three with three digits, or `undefined`."""
        if not self.value:
            return "undefined"
        bounds = f" ({float(self.low):.3f}, {float(self.high):.3f})" if self.low and self.high else ""
        return f"{float(self.value):.3f}{bounds}"


@dataclass(frozen=True)
class Gain:
    """A row of gains.csv: what an arm that ends the pretraining reaches on a label, beside the reference.

    draws, seeds: how many draws of training patients, and pretraining runs, it is the mean of.
    """

    target: str
    label: str
    fraction: str
    method: str
    draws: int
    seeds: int
    value: Estimate
    reference: str
    reference_value: Estimate
    gain: Estimate


def gains_of(study: Path, digest: str) -> list[Gain]:
    """List the AUROC that the backbone of this digest reaches in a judged study, in the order of gains.csv.

    Raises StudyError where none of the study's runs is that backbone, or the study has not been judged.
    """
    name = _pretraining(study, digest)
    path = study / GAINS
    if not path.is_file():
        raise StudyError(f"{path} is not there: run `cxr-eval study {study}` first.")
    ends = {arm.name for arm in read_study(study / STUDY).arms if arm.at == "end"}
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        if missing := {"arm_value", "ci_low", "seeds"} - set(table.fieldnames or ()):
            raise StudyError(
                f"{path} has no column {min(missing)}: an earlier release wrote it. Run `cxr-eval study {study}` again."
            )
        rows = [row for row in table if row["backbone"] == name and row["metric"] == "auroc"]
    return [
        Gain(
            target=row["target"],
            label=row["label"],
            fraction=row["fraction"],
            method=row["method"],
            draws=int(row["draws"]),
            seeds=int(row["seeds"]),
            value=Estimate(row["arm_value"], row["arm_ci_low"], row["arm_ci_high"]),
            reference=row["reference"],
            reference_value=Estimate(row["reference_value"], row["reference_ci_low"], row["reference_ci_high"]),
            gain=Estimate(row["value"], row["ci_low"], row["ci_high"]),
        )
        for row in rows
        if row["arm"] in ends
    ]


def _pretraining(study: Path, digest: str) -> str:
    """Name of the pretraining, one of whose runs ended in the backbone."""
    for path in sorted((study / RUNS).glob(f"*/{BACKBONE}")):
        try:
            found = read_description(parse_json(path.read_bytes()))
        except JsonError as error:
            raise StudyError(f"{path}: {error}. Copy the run again.") from error
        if found.digest == digest:
            return path.parent.name.rpartition("-seed")[0]
    raise StudyError(
        f"{study} is not a study of this backbone: none of its {RUNS}/*/{BACKBONE} has the digest {digest[:12]}. Name "
        "the study that its run belongs to, or leave --study out."
    )
