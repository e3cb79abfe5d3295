"""Load a network of timm with timm's own preprocessing: `--backbone-from timm:NAME`."""

from pathlib import Path

from training.backbones.architectures import TIMM
from training.backbones.backbone import Backbone, initial_seen, untrained_provenance
from training.backbones.networks import backbone_weights
from training.backbones.timm_networks import (
    build_timm_network,
    cached_weights,
    has_fixed_size,
    timm_input,
    without_classifier,
)
from training.backbones.weight_files import adapted_weights, read_weights_given, weights_digest
from training.errors import WeightsError
from training.seen_patients import Seen


def timm_backbone(source: str, image_size: int | None, weights: Path | None) -> Backbone:
    """Load the network that `timm:NAME` names, with its weights from timm's cache or a file.

    image_size: None takes timm's own. Raises WeightsError for weights that are missing or do not fit, and for another
    size than that of a network that has one only.
    """
    own_size, mean, std = timm_input(source)
    if image_size not in (None, own_size) and has_fixed_size(source):
        raise WeightsError(f"{source} takes images of {own_size} pixels only. Leave --image-size out.")
    path = weights or cached_weights(source)
    network = build_timm_network(source)
    given = without_classifier(source, read_weights_given(path))
    network.features.load_state_dict(adapted_weights(network.features, source, given, str(path)))
    return Backbone(
        network=network,
        architecture=source,
        image_size=image_size or own_size,
        mean=mean,
        std=std,
        initial=TIMM.rstrip(":"),
        provenance=untrained_provenance(source, 0),
        digest=weights_digest(backbone_weights(network, source)),
        seen=initial_seen(str(weights)) if weights is not None else _of_cache(source),
    )


def _of_cache(source: str) -> Seen:
    """Of timm's own weights nothing says what they have seen: some were trained on radiographs."""
    return Seen(unknown=(f"timm does not say which images the weights of {source} have seen",), images_unknown=True)
