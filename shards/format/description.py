"""The content of dataset.json: what a build knows of its dataset, counts, and the digests of its files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shards.format.schema import FORMAT_VERSION
from shards.json_value import JsonValue

OptionValue = str | int | float | bool | None
Options = Mapping[str, OptionValue | Mapping[str, str]]
"""Options of a build by name; ingest adds `source_tables`, the SHA-256 of each table by name."""


@dataclass(frozen=True)
class ShardSummary:
    """What dataset.json says of one shard. bytes: of the tar; sha256, idx_sha256: hex, of tar and index."""

    name: str
    split: str
    samples: int
    bytes: int
    sha256: str
    idx_sha256: str


@dataclass(frozen=True)
class SplitCounts:
    """How many samples, patients and shards a split has."""

    samples: int
    patients: int
    shards: int


@dataclass(frozen=True)
class Pixels:
    """Mean and standard deviation of the train split's pixels, 0..255, None without one. count: of pixels."""

    mean: float | None
    std: float | None
    count: int


@dataclass(frozen=True)
class SamplesFile:
    """samples.parquet: its rows and its hex SHA-256."""

    rows: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What a build knows of its dataset without its images. options, versions: only what changes bytes.

    variant: which reader made it. seed: of the shuffle. versions: of libraries, by name.
    """

    name: str
    variant: str
    licence: str
    label_names: tuple[str, ...]
    seed: int
    options: Options
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Description:
    """dataset.json, its keys in order (docs/shard-format.md)."""

    name: str
    variant: str
    licence: str
    labels: tuple[str, ...]
    splits: Mapping[str, SplitCounts]
    seed: int
    options: Options
    versions: Mapping[str, str]
    pixels: Pixels
    samples: SamplesFile
    shards: tuple[ShardSummary, ...]

    def as_json(self) -> dict[str, Any]:
        """The mapping that is written."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}


def description_from_json(content: JsonValue) -> Description:
    """Read what as_json wrote. Raises JsonError for a key that is missing or of another kind."""
    pixels, samples = content.at("pixels"), content.at("samples")
    return Description(
        name=content.at("name").text(),
        variant=content.at("variant").text(),
        licence=content.at("licence").text(),
        labels=content.at("labels").texts(),
        splits=content.at("splits").each(_split_counts),
        seed=content.at("seed").whole(),
        options=content.at("options").each(lambda option: option.value),
        versions=content.at("versions").each(JsonValue.text),
        pixels=Pixels(
            pixels.nullable("mean", JsonValue.number),
            pixels.nullable("std", JsonValue.number),
            pixels.at("count").whole(),
        ),
        samples=SamplesFile(samples.at("rows").whole(), samples.at("sha256").text()),
        shards=tuple(shard_summary(shard) for shard in content.at("shards").items()),
    )


def shard_summary(entry: JsonValue) -> ShardSummary:
    """Read what dataset.json, or a build's record, says of a shard."""
    return ShardSummary(
        name=entry.at("name").text(),
        split=entry.at("split").text(),
        samples=entry.at("samples").whole(),
        bytes=entry.at("bytes").whole(),
        sha256=entry.at("sha256").text(),
        idx_sha256=entry.at("idx_sha256").text(),
    )


def _split_counts(entry: JsonValue) -> SplitCounts:
    return SplitCounts(entry.at("samples").whole(), entry.at("patients").whole(), entry.at("shards").whole())
