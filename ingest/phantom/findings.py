"""Sample the fourteen CheXpert labels: how common each is, how severe a patient has it, and what a report says of it.

The drawn severities are the ground truth. The labels of the CSV files are sampled from them, with CheXpert's rates of
positive, negative, uncertain and unmentioned labels.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ingest.archives.chexpert_labels import LABELS

Generator = np.random.Generator

OPACITIES = ("Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
"""Subclasses of Lung Opacity, as Cardiomegaly is one of Enlarged Cardiomediastinum (CheXpert paper, figure 1)."""


@dataclass(frozen=True)
class Rate:
    """Fractions of CheXpert's training rows with a label of 1, 0 and -1; in the others it is blank."""

    positive: float
    negative: float
    uncertain: float


_TRAIN_ROWS = 223_414
_TRAIN_COUNTS = {  # rows of CheXpert's train.csv (v1.0) that hold 1, 0 and -1
    "No Finding": (22_381, 0, 0),
    "Enlarged Cardiomediastinum": (10_798, 21_638, 12_403),
    "Cardiomegaly": (27_000, 11_116, 8_087),
    "Lung Opacity": (105_581, 6_599, 5_598),
    "Lung Lesion": (9_186, 1_270, 1_488),
    "Edema": (52_246, 20_726, 12_984),
    "Consolidation": (14_783, 28_097, 27_742),
    "Pneumonia": (6_039, 2_799, 18_770),
    "Atelectasis": (33_376, 1_328, 33_739),
    "Pneumothorax": (19_448, 56_341, 3_145),
    "Pleural Effusion": (86_187, 35_396, 11_628),
    "Pleural Other": (3_523, 316, 2_653),
    "Fracture": (9_040, 2_512, 642),
    "Support Devices": (116_001, 6_137, 1_079),
}
RATES = {label: Rate(*(count / _TRAIN_ROWS for count in counts)) for label, counts in _TRAIN_COUNTS.items()}

_DRAWN = tuple(label for label in LABELS if label not in ("No Finding", "Lung Opacity"))
_FAILURE = ("Cardiomegaly", "Edema", "Pleural Effusion", "Enlarged Cardiomediastinum")  # correlated
_SHARED, _OF_PATIENT = (
    0.25,
    0.35,
)  # variances: shared by labels (or those of heart failure), of a label

_SLIGHTEST = 0.35  # severity with which the slightest finding is drawn, as a fraction of the largest

# Fractions of studies that follow from the numbers above, measured on 20,000 patients:
_OPACITY_SHARE = 0.53  # with any of OPACITIES
_CARDIAC_SHARE = 0.19  # with a large heart or mediastinum
_UNREMARKABLE_SHARE = 0.155  # whose report mentions nothing positive or uncertain


def prevalence(label: str) -> float:
    """Fraction of studies in which the finding is drawn: all that are reported, and half of the uncertain ones."""
    return RATES[label].positive + RATES[label].uncertain / 2


@dataclass(frozen=True)
class Disposition:
    """A patient's liability to each finding, normally distributed; that of a study varies around it."""

    liability: dict[str, float]

    def severities(self, rng: Generator) -> dict[str, float]:
        """Sample the findings of one study: label to severity in (0, 1], without the absent ones.

        Among the studies with a finding its severity is uniformly distributed.
        """
        remaining = np.sqrt(1 - _SHARED - _OF_PATIENT)
        found = {}
        for label, own in self.liability.items():
            rank = NormalDist().cdf(own + remaining * rng.standard_normal())
            share = prevalence(label)
            if rank > 1 - share:
                found[label] = (rank - (1 - share)) / share
        return found


def sample_disposition(rng: Generator) -> Disposition:
    """Sample a patient's liabilities."""
    sick, failing = rng.standard_normal(2)
    liability = {}
    for label in _DRAWN:
        shared = failing if label in _FAILURE else sick
        liability[label] = float(np.sqrt(_SHARED) * shared + np.sqrt(_OF_PATIENT) * rng.standard_normal())
    return Disposition(liability)


def visible(severity: dict[str, float]) -> dict[str, float]:
    """Severities as they are drawn: even the slightest finding is visible, since its label would be noise otherwise."""
    return {label: _SLIGHTEST + (1 - _SLIGHTEST) * extent for label, extent in severity.items()}


def truth(severity: dict[str, float]) -> dict[str, int]:
    """Label the findings as experts who see the picture would: all fourteen labels, 0 or 1."""
    present = {label: int(severity.get(label, 0.0) > 0) for label in LABELS}
    present["Lung Opacity"] = int(any(present[label] for label in OPACITIES))
    present["Enlarged Cardiomediastinum"] |= present["Cardiomegaly"]
    pathology = [label for label in LABELS if label not in ("No Finding", "Support Devices")]
    present["No Finding"] = int(not any(present[label] for label in pathology))
    return present


def reported(severity: dict[str, float], rng: Generator) -> dict[str, int | None]:
    """Sample all fourteen labels as read from a report: 1, 0, -1 uncertain, None not mentioned, at CheXpert's rates.

    A finding of label 1 is always drawn, one of label 0 never. Half of the uncertain ones are drawn, mostly the subtle.
    """
    extents = {**severity, "Lung Opacity": max((severity.get(label, 0.0) for label in OPACITIES), default=0.0)}
    said: dict[str, int | None] = {}
    for label in LABELS[1:]:
        draw = rng.random()
        if extent := extents.get(label, 0.0):
            said[label] = _of_present(label, extent, draw)
        elif label == "Enlarged Cardiomediastinum" and "Cardiomegaly" in severity:
            said[label] = None  # the report names the heart instead
        else:
            said[label] = _of_absent(label, draw)
    unremarkable = not any(said[label] in (1, -1) for label in LABELS[1:-1]) and not extents["Lung Opacity"]
    normal = unremarkable and rng.random() < RATES["No Finding"].positive / _UNREMARKABLE_SHARE
    return {"No Finding": 1 if normal else None, **said}


def _of_present(label: str, extent: float, draw: float) -> int | None:
    rate, share = RATES[label], _share(label)
    unclear = rate.uncertain / 2 / share  # the mean of 1 - extent ** power over uniform extents
    power = unclear / (1 - unclear)
    if draw < 1 - extent**power:
        return -1
    silent = 1 - (rate.positive + rate.uncertain / 2) / share  # a Lung Opacity whose report names the subclass only
    return None if draw > 1 - silent else 1


def _of_absent(label: str, draw: float) -> int | None:
    rate, share = RATES[label], 1 - _share(label)
    if label == "Enlarged Cardiomediastinum":
        share = 1 - _CARDIAC_SHARE
    uncertain = rate.uncertain / 2 / share
    if draw < uncertain:
        return -1
    return 0 if draw < uncertain + rate.negative / share else None


def _share(label: str) -> float:
    """Fraction of studies in which the finding is drawn."""
    return _OPACITY_SHARE if label == "Lung Opacity" else prevalence(label)
