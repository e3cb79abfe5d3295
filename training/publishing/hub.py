"""Export a backbone as a folder for a model hub: safetensors, config.json and a model card."""

from collections.abc import Sequence
from pathlib import Path

from shards.durable import write_atomically, write_json_atomically
from shards.format.dataset import DESCRIPTION, open_dataset
from shards.format.subsets import select
from training.backbones.architectures import TABLE
from training.backbones.backbone import Backbone
from training.backbones.export import preprocessing
from training.backbones.networks import backbone_weights, feature_dimension
from training.backbones.weight_files import safetensors_bytes
from training.folders import refuse_filled, written_whole
from training.options import Config
from training.publishing.model_card import TrainedOn, model_card
from training.publishing.study_results import gains_of

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
FILES = (WEIGHTS, CARD, CONFIG)


def export_hub(
    backbone: Backbone,
    folder: Path,
    *,
    config: Config | None,
    shards: Sequence[Path],
    study: Path | None,
    licence: str,
) -> None:
    """Write the folder; nothing in it names a patient, a path or a machine.

    config: options of the run, None where they are not recorded. shards: folders of the datasets that it was trained
    on, as far as they are at hand. study: a judged study that the run is of. licence: of the weights. Raises RunError
    for a folder that holds something, StudyError for a study that is not the backbone's.
    """
    refuse_filled(folder, FILES)
    gains = gains_of(study, backbone.digest) if study is not None else []
    card = model_card(
        backbone,
        weights=WEIGHTS,
        config=config,
        datasets=trained_on(backbone, shards),
        gains=gains,
        licence=licence,
    )
    entry = TABLE[backbone.architecture]
    described = dict(preprocessing(backbone, None))
    provenance, digest = described.pop("provenance"), described.pop("digest")
    described.pop("onnx_difference")
    config_json = {
        "architecture": backbone.architecture,
        "timm_architecture": entry.timm,
        "num_classes": 0,
        "num_features": feature_dimension(backbone.architecture),
        "preprocessing": described,
        "provenance": provenance,
        "digest": digest,
    }
    contents = {
        WEIGHTS: safetensors_bytes(backbone_weights(backbone.network, backbone.architecture)),
        CARD: card.encode(),
    }
    with written_whole(folder, FILES):
        for name, content in contents.items():
            with write_atomically(folder / name) as file:
                file.write(content)
        write_json_atomically(folder / CONFIG, config_json)


def trained_on(backbone: Backbone, shards: Sequence[Path]) -> list[TrainedOn]:
    """List the datasets of the pretraining, with licence and counts of those that one of the folders holds."""
    at_hand = {}
    for root in shards:
        if (root / DESCRIPTION).is_file():
            opened = open_dataset(root, check_shards=False)
            at_hand[opened.digest] = opened
    found = []
    for cited in backbone.provenance.get("datasets", []):
        dataset = at_hand.get(cited["digest"])
        if dataset is None:
            found.append(TrainedOn(cited["name"], cited["digest"]))
            continue
        rows = select(dataset, "train")
        licence = dataset.description.licence
        patients = int(rows["patient_id"].nunique())
        found.append(TrainedOn(cited["name"], cited["digest"], licence, len(rows), patients))
    return found
