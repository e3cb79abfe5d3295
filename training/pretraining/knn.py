"""Measure how well the encoder separates a label while it trains, by nearest neighbours among training images.

The measurement changes no weight, and reads no image outside of the train split.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score
from torch import nn

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import label_fraction, select
from shards.loading.placement import Device
from training.backbones.inference import outputs
from training.backbones.networks import Preprocessing, feature_network
from training.labels import PLAIN, refuse_one_class, targets

NEIGHBOURS = 20
TEMPERATURE = 0.07  # Wu et al. 2018, section 3.4


class OnlineKnn:
    """Labelled images to measure on: about `images` of the train splits of the datasets that have the label.

    Patients whole and the same each time (a label fraction of draw 0), of each dataset in proportion to what it has.
    """

    def __init__(self, datasets: Sequence[Dataset], label: str, images: int) -> None:
        """Raises SubsetError where no dataset has the label, or all images have the same."""
        having = [dataset for dataset in datasets if label in dataset.label_names]
        if not having:
            names = sorted({name for dataset in datasets for name in dataset.label_names})
            raise SubsetError(f"--knn-label {label!r}: none of the datasets has it; they have {', '.join(names)}")
        labelled = [
            (dataset, rows[rows[label].isin((0, 1))]) for dataset in having for rows in (select(dataset, "train"),)
        ]
        total = sum(len(rows) for _, rows in labelled)
        share = min(1.0, images / total) if total else 1.0
        self.parts = [
            (dataset, label_fraction(rows, dataset.name, share, draw=0)) for dataset, rows in labelled if len(rows)
        ]
        every = pd.concat([rows for _, rows in self.parts]) if self.parts else labelled[0][1]
        found = targets(every, [label], PLAIN)
        refuse_one_class(found, [label], "--knn-label")
        self._labels = found[:, 0]
        self._patients = np.concatenate(
            [dataset.name + "/" + rows["patient_id"].to_numpy(str) for dataset, rows in self.parts]
        )

    def auroc(
        self,
        encoder: nn.Module,
        architecture: str,
        preprocessing: Preprocessing,
        *,
        device: Device,
        threads: int,
    ) -> float:
        """`knn_auroc` of the features below the encoder's head; the encoder stays as it is."""
        network = feature_network(encoder, architecture)
        features = [
            piece
            for dataset, rows in self.parts
            for piece, _ in outputs(network, dataset, rows, preprocessing, device=device, threads=threads)
        ]
        return knn_auroc(np.concatenate(features), self._labels, self._patients)


def knn_auroc(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.float32], patients: npt.NDArray[np.str_]
) -> float:
    """AUROC of each image's label as its 20 nearest neighbours of other patients give it, by cosine.

    A neighbour of similarity s counts exp(s / 0.07) (Wu et al. 2018, eq. 12). features: [N, D], of any length.
    labels: [N], 0 or 1, both there. patients: [N].
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarity = (unit @ unit.T).astype(np.float64)
    similarity[patients[:, None] == patients] = -np.inf
    count = min(NEIGHBOURS, len(labels) - 1)
    nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    found = np.take_along_axis(similarity, nearest, axis=1)
    weights = np.exp((found - 1.0) / TEMPERATURE)  # not above 1: no overflow
    total = weights.sum(axis=1)
    votes = (weights * labels[nearest]).sum(axis=1)
    score = np.divide(votes, total, out=np.full(len(labels), 0.5), where=total > 0)  # 0.5: no other patient
    return float(roc_auc_score(labels, score))
