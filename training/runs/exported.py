"""Read a backbone that `cxr-train export` wrote, with the preprocessing that stands beside its weights."""

from pathlib import Path

from shards.input_files import read_watched
from shards.json_value import JsonError, JsonValue, parse_json
from training.backbones.architectures import ARCHITECTURES
from training.backbones.backbone import PREPROCESSING, Backbone
from training.backbones.description import BackboneDescription, GrayLevels, read_image_size, three_levels
from training.backbones.networks import build_backbone
from training.backbones.weight_files import fill, read_weights, weights_digest
from training.errors import WeightsError
from training.provenance import read_provenance
from training.runs.files import BACKBONE_WEIGHTS
from training.seen_patients import PATIENTS, Seen, read_seen

FORMAT_VERSION = 1


def exported_backbone(folder: Path, architecture: str | None, image_size: int | None, at: str) -> Backbone:
    """The backbone of an exported folder: weights, image size, mean and standard deviation, patients.

    architecture, image_size: refused where they are not the folder's own. Raises WeightsError where the folder is
    damaged, of another format, or holds ONNX alone.
    """
    if at != "end":
        raise WeightsError(f"{folder} is an exported backbone, which has no start. Name the run itself.")
    description = _described(folder / PREPROCESSING)
    check_asked(folder, description, architecture, image_size)
    path = folder / BACKBONE_WEIGHTS
    if not path.is_file():
        raise WeightsError(f"{folder} holds no {BACKBONE_WEIGHTS}. Export the run again with --format torchvision.")
    weights = read_weights(path)
    if weights_digest(weights) != description.digest:
        raise WeightsError(f"{path} does not hold the weights that {PREPROCESSING} records. Copy both again.")
    network = build_backbone(description.architecture, seed=0)
    fill(network, description.architecture, weights, str(path))
    return Backbone(
        network=network,
        architecture=description.architecture,
        image_size=description.image_size,
        mean=description.mean,
        std=description.std,
        initial="moco" if description.provenance.get("method") != "none" else "file",
        provenance=description.provenance,
        digest=description.digest,
        seen=_seen(folder, description),
    )


def _seen(folder: Path, description: BackboneDescription) -> Seen:
    """What the weights have seen; unknown, with what to do, where the export names no patients."""
    if (folder / PATIENTS).is_file():
        return read_seen(folder, provenance=description.provenance)
    why = f"the export {folder} names no patients: name the run itself, or export it again with --with-patients"
    return Seen(unknown=(why,), images_unknown=True)


def check_asked(
    source: Path, description: BackboneDescription, architecture: str | None, image_size: int | None
) -> None:
    """Raise WeightsError where an option asks for something else than the weights were trained with."""
    of_source = (
        ("architecture", description.architecture, architecture),
        ("image_size", description.image_size, image_size),
    )
    for key, found, asked in of_source:
        if asked is not None and asked != found:
            raise WeightsError(
                f"{source} was pretrained with {key} {found}, asked for is {asked}. Leave the option out to take the "
                "run's."
            )


def _described(path: Path) -> BackboneDescription:
    """Read preprocessing.json. Raises WeightsError naming the file and the key."""
    try:
        content = parse_json(read_watched(path))
        if content.at("format_version").value != FORMAT_VERSION:
            raise WeightsError(f"{path} is not of format version {FORMAT_VERSION}. Export the run again.")
        if content.at("architecture").value not in ARCHITECTURES:
            raise WeightsError(
                f"{path} does not describe a backbone of {', '.join(ARCHITECTURES)}. Export the run again."
            )
        return BackboneDescription(
            architecture=content.at("architecture").text(),
            image_size=read_image_size(content.at("image_size")),
            mean=_gray_levels(content, "mean"),
            std=_gray_levels(content, "std"),
            provenance=read_provenance(content.at("provenance")),
            digest=content.at("digest").text(),
        )
    except (JsonError, OSError) as error:
        raise WeightsError(f"{path} cannot be read: {error}. Copy it again, or export the run again.") from error


def _gray_levels(content: JsonValue, key: str) -> GrayLevels:
    """Mean or standard deviation in 0..255; an earlier release wrote them for pixels in 0..1 only."""
    levels = content.find(f"{key}_in_gray_levels")
    if levels is not None:
        red, green, blue = three_levels(levels)
    else:
        red, green, blue = (level * 255 for level in three_levels(content.at(key)))
    if key == "std" and min(red, green, blue) <= 0:
        raise content.at(key).wrong("above 0")
    return red if red == green == blue else (red, green, blue)
