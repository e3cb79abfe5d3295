"""Write a published checkpoint as a backbone that every --backbone-from takes.

The folder holds backbone.safetensors, backbone.json and patients.parquet.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from shards.format.dataset import Dataset
from training.backbones.backbone import with_declared
from training.backbones.description import BackboneDescription
from training.backbones.published_checkpoint import IMAGE_SIZE, MEAN, STD, Published, published_backbone
from training.folders import refuse_filled, written_whole
from training.runs.backbone_from import save_backbone
from training.runs.files import BACKBONE, BACKBONE_WEIGHTS
from training.seen_patients import IMAGES, PATIENTS, Seen, seen_by_training, write_seen

FILES = (PATIENTS, IMAGES, BACKBONE_WEIGHTS, BACKBONE)
"""What an import writes into its folder."""

_log = logging.getLogger(__name__)


def import_backbone(
    published: Published, folder: Path, datasets: Sequence[Dataset], seen_patients: str | None = None
) -> None:
    """Write the backbone into a new folder. datasets: whose train patients are recorded as seen by the weights.

    seen_patients: `none` or a file, of --seen-patients. Without either, what the weights have seen is unknown, which a
    warning says. Raises RunError for a folder that holds something, WeightsError where the weights are not the
    architecture's.
    """
    refuse_filled(folder, FILES)
    weights = published_backbone(published)
    seen = with_declared(_seen(published, datasets), seen_patients)
    if seen.unknown:
        _log.warning(
            "%s: what is predicted from it is refused as long as it is not known which patients the weights have seen. "
            "Name the datasets by --shards, or declare their patients by --seen-patients.",
            folder,
        )
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
    with written_whole(folder, FILES):
        write_seen(folder, seen)
        save_backbone(folder, weights, description)


def _seen(published: Published, datasets: Sequence[Dataset]) -> Seen:
    """What the weights have seen: the train splits of the datasets; unknown without any."""
    if datasets:
        return seen_by_training(datasets)
    reason = f"the weights of {published.path.name} were imported without --shards"
    return Seen(unknown=(reason,), images_unknown=True)
