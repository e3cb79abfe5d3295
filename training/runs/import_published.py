"""Write a published checkpoint as a backbone that every --backbone-from takes.

The folder holds backbone.safetensors, backbone.json and patients.parquet.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from shards.format.dataset import Dataset
from training.backbones.description import BackboneDescription
from training.backbones.published_checkpoint import IMAGE_SIZE, MEAN, STD, Published, published_backbone
from training.folders import refuse_filled
from training.runs.backbone_from import save_backbone
from training.seen_patients import no_patients, train_patients, write_patients


def import_backbone(published: Published, folder: Path, datasets: Sequence[Dataset]) -> None:
    """Write the backbone into a new folder. datasets: whose train patients are recorded as seen by the weights.

    Raises RunError for a folder that holds something, WeightsError where the weights are not the architecture's.
    """
    refuse_filled(folder)
    weights = published_backbone(published)
    folder.mkdir(parents=True, exist_ok=True)
    write_patients(folder, train_patients(datasets) if datasets else no_patients())
    description = BackboneDescription(
        architecture=published.architecture,
        image_size=IMAGE_SIZE,
        mean=MEAN,
        std=STD,
        provenance={
            "method": "moco-v2" if published.mlp else "moco-v1",
            "init": None,  # the file does not say what it started from
            "seed": None,
            "epochs": published.epoch,
            "steps": None,
            "datasets": [dataset.citation for dataset in datasets],
            "imported_from": published.path.name,
            "imported_sha256": hashlib.sha256(published.path.read_bytes()).hexdigest(),
        },
    )
    save_backbone(folder, weights, description)
