"""Describe a backbone as backbone.json does: architecture, preprocessing, and where its weights come from. No torch."""

import math
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from shards.json_value import JsonValue
from training.backbones.architectures import ARCHITECTURES
from training.provenance import Provenance, read_provenance

GrayLevels = float | tuple[float, float, float]
"""Mean or standard deviation of pixels, 0..255: one for all three input channels, or one a channel."""
FORMAT_VERSION = 1
LARGEST_SIDE = 65535
"""Of an image, in pixels."""


class BackboneJson(TypedDict):
    """Keys of backbone.json; digest: SHA-256 of backbone.safetensors, not yet in a checkpoint."""

    start_digest: NotRequired[str]
    format_version: int
    architecture: str
    image_size: int
    mean: GrayLevels
    std: GrayLevels
    channels: int
    provenance: Provenance
    digest: NotRequired[str]


def read_gray_levels(value: JsonValue) -> GrayLevels:
    """Read a mean or standard deviation as JSON holds it: a number, or a list of one a channel."""
    return three_levels(value) if isinstance(value.value, list) else _finite(value)


def three_levels(value: JsonValue) -> tuple[float, float, float]:
    """Read one number a channel."""
    levels = [_finite(level) for level in value.items()]
    if len(levels) != 3:
        raise value.wrong("one number for each of three channels")
    red, green, blue = levels
    return red, green, blue


def read_std(value: JsonValue) -> GrayLevels:
    """Read a standard deviation: above 0."""
    levels = read_gray_levels(value)
    if min(levels if isinstance(levels, tuple) else (levels,)) <= 0:
        raise value.wrong("above 0")
    return levels


def read_image_size(value: JsonValue) -> int:
    """Read the side of the input in pixels."""
    size = value.whole()
    if not 1 <= size <= LARGEST_SIDE:
        raise value.wrong(f"a side of 1 to {LARGEST_SIDE} pixels")
    return size


def _finite(value: JsonValue) -> float:
    number = float(value.number())
    if not math.isfinite(number):
        raise value.wrong("a finite number")
    return number


def read_description(content: JsonValue) -> "BackboneDescription":
    """Read backbone.json, or the copy of it in a checkpoint. Raises JsonError naming the key that is wrong or missing.

    Also for another format version and for an architecture that this release does not have.
    """
    version, architecture = content.at("format_version"), content.at("architecture")
    if version.value != FORMAT_VERSION:
        raise version.wrong(f"{FORMAT_VERSION}, the version that this release reads")
    if architecture.value not in ARCHITECTURES:
        raise architecture.wrong(f"one of {', '.join(ARCHITECTURES)}")
    return BackboneDescription(
        architecture=architecture.text(),
        image_size=read_image_size(content.at("image_size")),
        mean=read_gray_levels(content.at("mean")),
        std=read_std(content.at("std")),
        provenance=read_provenance(content.at("provenance")),
        start_digest=content.optional("start_digest", JsonValue.text),
        digest=content.optional("digest", JsonValue.text),
    )


@dataclass(frozen=True)
class BackboneDescription:
    """Description of a backbone's weights. image_size: side in pixels. mean, std: 0..255.

    start_digest: SHA-256 of the weights that its run began with; None for an import or a run of an earlier release.
    digest: SHA-256 of its own weights; None while it is trained.
    """

    architecture: str
    image_size: int
    mean: GrayLevels
    std: GrayLevels
    provenance: Provenance
    start_digest: str | None = None
    digest: str | None = None

    def as_json(self) -> BackboneJson:
        """Make what backbone.json and a checkpoint hold, in this order of keys."""
        content: BackboneJson = {
            "format_version": FORMAT_VERSION,
            "architecture": self.architecture,
            "image_size": self.image_size,
            "mean": self.mean,
            "std": self.std,
            "channels": 3,
            "provenance": self.provenance,
        }
        if self.start_digest is not None:
            content = {"start_digest": self.start_digest, **content}
        if self.digest is not None:
            content = {**content, "digest": self.digest}
        return content
