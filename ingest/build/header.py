"""Describe what a plan is made from: options, tables and versions, as plan.parquet and dataset.json record them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

from ingest.archives.recognition import another_dataset
from ingest.archives.source import VARIANTS, Source
from shards.format.description import OptionValue
from shards.images.ranges import AUTO
from shards.images.shard_image import JPEG_QUALITY
from shards.images.unusable_image import MAX_PIXELS
from shards.json_value import JsonValue

_OTHER_LICENCE = "not known: another dataset in the layout of {}; see its own terms"
_LIBRARIES = ("simplejpeg", "opencv-python-headless", "pillow", "pydicom", "python-gdcm", "pyarrow")

Fact = OptionValue | list[str]


@dataclass(frozen=True)
class Options:
    """The options of a build that change its bytes.

    short_side: pixels, None keeps the source's size. max_pixels: a larger image is taken for a decompression bomb.
    hash_identifiers: None, or the hex SHA-256 of the salt that patients, studies and keys are hashed with.
    png_range: of 16-bit PNGs, one of ranges.PNG_RANGES; None takes the reader's own.
    """

    name: str
    short_side: int | None
    samples_per_shard: int
    seed: int
    valid_fraction: float
    test_fraction: float
    max_pixels: int = MAX_PIXELS
    drop_duplicates: bool = False
    hash_identifiers: str | None = None
    png_range: str | None = None


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a plan is made from: everything that changes the dataset's bytes but the images themselves.

    options: png_range is None where it is the reader's own. source_tables: SHA-256 by name. versions: of the libraries
    that change bytes. ingest: version of this project.
    """

    variant: str
    licence: str
    labels: tuple[str, ...]
    options: Options
    jpeg_quality: int
    source_tables: Mapping[str, str]
    versions: Mapping[str, str]
    ingest: str

    @property
    def recorded_options(self) -> dict[str, OptionValue]:
        """The options by name, as plan and dataset.json record them."""
        own = asdict(self.options)
        if self.options.png_range is None:  # archives of releases that had no such option stay the same
            del own["png_range"]
        return own | {"jpeg_quality": self.jpeg_quality}

    @property
    def facts(self) -> dict[str, Fact]:
        """What is written, by name, such as `options: seed`, to be compared by `differences`."""
        found: dict[str, Fact] = {}
        for key, value in self.as_json().items():
            found |= named(key, value) if isinstance(value, Mapping) else {key: value}
        return found

    @property
    def digest(self) -> str:
        """Hex SHA-256: done-records name the plan that they belong to by it."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The mapping that is written."""
        return {
            "variant": self.variant,
            "licence": self.licence,
            "labels": list(self.labels),
            "options": self.recorded_options,
            "source_tables": dict(self.source_tables),
            "versions": dict(self.versions),
            "ingest": self.ingest,
        }


def plan_header(source: Source, options: Options) -> Header:
    """Describe what a plan is made from.

    It holds the version of this project, so that no build is started by one release and ended by another.
    """
    own_range = options.png_range in (None, source_range(source))
    return Header(
        variant=source.variant,
        licence=_licence(source, options.name),
        labels=tuple(source.label_names),
        options=replace(options, png_range=None) if own_range else options,
        jpeg_quality=JPEG_QUALITY,
        source_tables=source.fingerprint(),
        versions={library: version(library) for library in _LIBRARIES},
        ingest=version("cxr-moco"),
    )


def header_from_json(content: JsonValue) -> Header:
    """Read what as_json wrote. Raises JsonError for a key that is missing or of another kind."""
    options = content.at("options")
    return Header(
        variant=content.at("variant").text(),
        licence=content.at("licence").text(),
        labels=content.at("labels").texts(),
        options=Options(
            name=options.at("name").text(),
            short_side=options.nullable("short_side", JsonValue.whole),
            samples_per_shard=options.at("samples_per_shard").whole(),
            seed=options.at("seed").whole(),
            valid_fraction=options.at("valid_fraction").number(),
            test_fraction=options.at("test_fraction").number(),
            max_pixels=options.at("max_pixels").whole(),
            drop_duplicates=options.at("drop_duplicates").flag(),
            hash_identifiers=options.nullable("hash_identifiers", JsonValue.text),
            png_range=options.optional("png_range", JsonValue.text),
        ),
        jpeg_quality=options.at("jpeg_quality").whole(),
        source_tables=content.at("source_tables").each(JsonValue.text),
        versions=content.at("versions").each(JsonValue.text),
        ingest=content.at("ingest").text(),
    )


def source_range(source: Source) -> str:
    """The range of 16-bit PNGs that the reader knows its archive to have, else auto."""
    return str(getattr(source, "png_range", AUTO))


def named(group: str, values: Mapping[str, Fact]) -> dict[str, Fact]:
    """Facts of a group, such as `options: seed`."""
    return {f"{group}: {key}": value for key, value in values.items()}


def differences(there: Mapping[str, Fact], here: Mapping[str, Fact]) -> list[str]:
    """List the differences between the facts of two headers, for people."""
    found = []
    for key in sorted(there.keys() | here.keys()):
        one, other = there.get(key), here.get(key)
        if one != other:
            short = [str(value)[:12] if len(str(value)) == 64 else str(value) for value in (one, other)]
            found.append(f"{key} is {short[0]} there and {short[1]} here")
    return found


def _licence(source: Source, name: str) -> str:
    """The archive's licence for the archive itself under its own name; not known for what merely has its layout."""
    if source.variant not in VARIANTS:
        return source.licence
    own = name == source.variant and another_dataset(source) is None
    return source.licence if own else _OTHER_LICENCE.format(source.variant)
