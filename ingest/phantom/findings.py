"""Sample the fourteen CheXpert labels: how common each is, how severe a patient has it, and what a report says of it.

Severities are the truth that is drawn; labels are what a CSV says.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ingest.archives.chexpert_labels import LABELS

Generator = np.random.Generator

OPACITIES = ("Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
"""Each of them is a Lung Opacity, as Cardiomegaly is an Enlarged Cardiomediastinum (CheXpert paper, figure 1)."""


@dataclass(frozen=True)
class Rate:
    """Shares of CheXpert's training rows that say 1, 0 and -1; the rest is blank."""

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
_FAILURE = ("Cardiomegaly", "Edema", "Pleural Effusion", "Enlarged Cardiomediastinum")  # go together
_SHARED, _OF_PATIENT = 0.25, 0.35  # variances: of sickness (or of heart failure), and of a label in a patient

_SLIGHTEST = 0.35  # of the severity that the largest finding is drawn with

_OPACITY_SHARE = 0.53  # of studies with any of OPACITIES, measured on 20,000 patients; it follows from the above
_CARDIAC_SHARE = 0.19  # of studies with a large heart or mediastinum, likewise
_UNREMARKABLE_SHARE = 0.155  # of studies whose report mentions nothing positive or uncertain, likewise


def prevalence(label: str) -> float:
    """Fraction of studies in which the finding is drawn: all that are reported, and half of the uncertain ones."""
    return RATES[label].positive + RATES[label].uncertain / 2


@dataclass(frozen=True)
class Disposition:
    """A patient's standing liability to each finding, standard normal; studies vary about it."""

    liability: dict[str, float]

    def severities(self, rng: Generator) -> dict[str, float]:
        """The findings of one study: label to severity in (0, 1], absent ones left out.

        Among the studies that have a finding its severity is uniform.
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
    sick, failing = rng.standard_normal(2)
    liability = {}
    for label in _DRAWN:
        shared = failing if label in _FAILURE else sick
        liability[label] = float(np.sqrt(_SHARED) * shared + np.sqrt(_OF_PATIENT) * rng.standard_normal())
    return Disposition(liability)


def visible(severity: dict[str, float]) -> dict[str, float]:
    """Severities as they are drawn: even the slightest finding can be seen, or its label would be noise."""
    return {label: _SLIGHTEST + (1 - _SLIGHTEST) * extent for label, extent in severity.items()}


def truth(severity: dict[str, float]) -> dict[str, int]:
    """All fourteen labels, 0 or 1, as experts who see the picture would give them."""
    present = {label: int(severity.get(label, 0.0) > 0) for label in LABELS}
    present["Lung Opacity"] = int(any(present[label] for label in OPACITIES))
    present["Enlarged Cardiomediastinum"] |= present["Cardiomegaly"]
    pathology = [label for label in LABELS if label not in ("No Finding", "Support Devices")]
    present["No Finding"] = int(not any(present[label] for label in pathology))
    return present


def reported(severity: dict[str, float], rng: Generator) -> dict[str, int | None]:
    """All fourteen labels as read from a report: 1, 0, -1 uncertain, None not mentioned, at CheXpert's rates.

    A 1 is always drawn and a 0 never is. Half of the uncertain ones are drawn, mostly the subtle ones.
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
    silent = 1 - (rate.positive + rate.uncertain / 2) / share  # a Lung Opacity that is only named as what it is
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
    """Of studies in which the finding is drawn."""
    return _OPACITY_SHARE if label == "Lung Opacity" else prevalence(label)
