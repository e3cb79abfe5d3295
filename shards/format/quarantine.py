"""Samples that were found damaged after a dataset was finished: recorded outside its digest, left out by subsets.

`quarantine.json` lies beside the dataset, or, where that cannot be written, in the folder that CXR_QUARANTINE names.
Both are read wherever a dataset is opened.
"""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from shards.durable import write_json_atomically
from shards.errors import DatasetError
from shards.json_value import JsonError, JsonValue, parse_json

QUARANTINE = "quarantine.json"
FOLDER_VARIABLE = "CXR_QUARANTINE"
"""Names a folder for the quarantines of datasets that cannot be written to: <name>-<12 digits of the digest>.json."""

_FORMAT_VERSION = 1


@dataclass(frozen=True)
class Quarantined:
    """One sample that must not be read, and why."""

    key: str
    shard: str
    reason: str


def quarantine_paths(root: Path, name: str, digest: str) -> list[Path]:
    """Where a dataset's quarantine may be: beside it, then in the folder of the environment, if one is named."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return [root / QUARANTINE, *([Path(folder) / f"{name}-{digest[:12]}.json"] if folder else [])]


def read_quarantine(root: Path, name: str, digest: str) -> dict[str, Quarantined]:
    """The quarantined samples of a dataset, by key. Raises DatasetError for a file that is not of this dataset."""
    found: dict[str, Quarantined] = {}
    for path in quarantine_paths(root, name, digest):
        if path.is_file():
            found.update((sample.key, sample) for sample in _read(path, digest))
    return found


def write_quarantine(root: Path, name: str, digest: str, damaged: Iterable[Quarantined]) -> Path:
    """Add samples to a dataset's quarantine; returns the file, beside the dataset if that can be written.

    Raises DatasetError where neither place can be.
    """
    merged = {**read_quarantine(root, name, digest), **{sample.key: sample for sample in damaged}}
    content = {
        "format_version": _FORMAT_VERSION,
        "name": name,
        "digest": digest,
        "samples": [asdict(merged[key]) for key in sorted(merged)],
    }
    failures = []
    for path in quarantine_paths(root, name, digest):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomically(path, content)
        except OSError as error:
            failures.append(f"{path}: {error.strerror}")
        else:
            return path
    raise DatasetError(
        f"the quarantine cannot be written ({'; '.join(failures)}): name a folder for it by {FOLDER_VARIABLE}, "
        "and set it for the commands that train, too"
    )


def _read(path: Path, digest: str) -> list[Quarantined]:
    try:
        content = parse_json(path.read_bytes())
        version, of = content.at("format_version").value, content.at("digest").text()
        quarantined = [_sample(sample) for sample in content.at("samples").items()]
    except (OSError, JsonError) as error:
        raise DatasetError(
            f"{path} is no quarantine that verify wrote ({error!r}): delete it and run `cxr-ingest verify --quarantine`"
        ) from error
    if version != _FORMAT_VERSION:
        raise DatasetError(f"{path}: format version {version!r}; this release reads {_FORMAT_VERSION}")
    if of != digest:
        raise DatasetError(
            f"{path} is the quarantine of another build ({of[:12]}, here {digest[:12]}): delete it and run "
            "`cxr-ingest verify --quarantine`"
        )
    return quarantined


def _sample(entry: JsonValue) -> Quarantined:
    return Quarantined(entry.at("key").text(), entry.at("shard").text(), entry.at("reason").text())
