"""Record which patients and images weights have seen (patients.parquet, images.parquet) and how far that is known.

A patient is (dataset name, patient_id): the same number in another dataset is another person. An image is known by the
checksum and the length of its JPEG, under whatever dataset name. `training.leakage` compares a split with the record.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shards.arrow_memory import arrow_file
from shards.durable import write_atomically
from shards.format.dataset import Dataset
from shards.format.subsets import select
from shards.input_files import read_regular
from shards.json_value import JsonError, JsonValue, parse_json
from training.errors import WeightsError
from training.provenance import Provenance

PATIENTS, IMAGES = "patients.parquet", "images.parquet"
RUN_PATIENTS = "run_patients.parquet"
"""Beside a model of a run's start: the patients that the run has seen, and the start has not."""

_METADATA, _DIGEST = b"cxr_seen", b"cxr_seen_sha256"
"""Of the record in the list's metadata, and of its SHA-256, which earlier releases did not write."""
_FORMAT_VERSION = 1
_PATIENT_COLUMNS = ["dataset", "patient_id"]
_IMAGE_COLUMNS = ["dataset", "crc32c", "bytes"]
_COPY = "Copy the whole folder again"
_MOST_ROWS = 50_000_000
_PATIENT_KINDS = dict.fromkeys(_PATIENT_COLUMNS, pa.string())
_IMAGE_KINDS = {"dataset": pa.string(), "crc32c": pa.uint32(), "bytes": pa.int64()}
_FINGERPRINT = 16
"""Hexadecimal digits of a salt's SHA-256 that are kept."""


def no_patients() -> pd.DataFrame:
    """Make an empty list of patients: columns dataset, patient_id."""
    return pd.DataFrame({"dataset": pd.Series(dtype="str"), "patient_id": pd.Series(dtype="str")})


def no_images() -> pd.DataFrame:
    """Make an empty list of images: columns dataset, crc32c and bytes of the JPEG."""
    columns = {
        "dataset": pd.Series(dtype="str"),
        "crc32c": pd.Series(dtype="uint32"),
        "bytes": pd.Series(dtype="int64"),
    }
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class Seen:
    """What weights have seen, as far as it is known. The default: nothing.

    patients: columns dataset, patient_id. images: columns dataset, crc32c, bytes (of the JPEG). salts: by dataset name,
    the fingerprints of the salts that its patients are hashed with, "" where they are not hashed; no entry where it was
    not recorded. declared: what a person said by --seen-patients. unknown: why there may be more, a phrase a reason.
    images_unknown: whether some images are not listed, as an earlier release left them out.
    """

    patients: pd.DataFrame = field(default_factory=no_patients)
    images: pd.DataFrame = field(default_factory=no_images)
    salts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    images_unknown: bool = False

    def __add__(self, other: "Seen") -> "Seen":
        """What weights have seen that saw both."""
        names = [*self.salts, *(name for name in other.salts if name not in self.salts)]
        return Seen(
            patients=pd.concat([self.patients, other.patients], ignore_index=True),
            images=pd.concat([self.images, other.images], ignore_index=True),
            salts={name: _sorted(self.salts.get(name, ()), other.salts.get(name, ())) for name in names},
            declared=tuple(dict.fromkeys((*self.declared, *other.declared))),
            unknown=tuple(dict.fromkeys((*self.unknown, *other.unknown))),
            images_unknown=self.images_unknown or other.images_unknown,
        )


class WithSeen:
    """Patients that weights have seen, for what holds their `seen` and, of the start of a run, the run's `run_seen`."""

    seen: Seen
    run_seen: Seen

    @property
    def patients(self) -> pd.DataFrame:
        """The patients that the weights have seen, as far as they are known: columns dataset, patient_id."""
        return self.seen.patients

    @property
    def run_patients(self) -> pd.DataFrame:
        """Of the start of a run, the patients that the run itself has seen; no rows otherwise."""
        return self.run_seen.patients


def salt_of(dataset: Dataset) -> str:
    """Fingerprint of the salt that the dataset's patients are hashed with (--hash-identifiers); "" without one."""
    return str(dataset.description.options.get("hash_identifiers") or "")[:_FINGERPRINT]


def seen_by_training(datasets: Sequence[Dataset]) -> Seen:
    """List what pretraining on the train splits sees."""
    seen = Seen()
    for dataset in datasets:
        seen += seen_of_rows(dataset, select(dataset, "train"))
    return seen


def seen_of_rows(dataset: Dataset, rows: pd.DataFrame) -> Seen:
    """List what training on rows of a dataset sees."""
    return Seen(
        patients=pd.DataFrame({"dataset": dataset.name, "patient_id": rows["patient_id"].unique()}),
        images=rows[["crc32c", "bytes"]].assign(dataset=dataset.name)[_IMAGE_COLUMNS],
        salts={dataset.name: (salt_of(dataset),)},
    )


def declared_seen(declaration: str) -> Seen:
    """Read what a person declares by --seen-patients: `none`, or a CSV or Parquet file with dataset and patient_id.

    A patients.parquet of a run is read with what it records beside the patients. Raises ValueError for another file.
    """
    if declaration == "none":
        return Seen(declared=("none",))
    path = Path(declaration)
    if not path.is_file():
        raise ValueError(
            f"there is no file {declaration}: give none, or a table with the columns dataset and patient_id"
        )
    seen = read_seen(path.parent) if path.name == PATIENTS else Seen(patients=_table(path), images_unknown=True)
    known = f"{path.name}, {len(seen.patients.drop_duplicates())} patients"
    return replace(seen, declared=(*seen.declared, known), unknown=())


def write_seen(folder: Path, seen: Seen, name: str = PATIENTS) -> None:
    """Write patients.parquet (sorted, each once) and, where there are any, images.parquet beside it.

    name: of the list of patients; that of the images follows from it. What is known of both stands in the first one.
    """
    patients = seen.patients[_PATIENT_COLUMNS].drop_duplicates().sort_values(_PATIENT_COLUMNS)
    images = seen.images[_IMAGE_COLUMNS].drop_duplicates().sort_values(_IMAGE_COLUMNS)
    record = {
        "format_version": _FORMAT_VERSION,
        "salts": {dataset: list(salts) for dataset, salts in sorted(seen.salts.items())},
        "patients": len(patients),
        "images": len(images),
        "images_unknown": seen.images_unknown,
        "declared": list(seen.declared),
        "unknown": list(seen.unknown),
    }
    if len(images):
        _write_table(folder / images_name(name), images, pa.schema(list(_IMAGE_KINDS.items())))
    schema = pa.schema(list(_PATIENT_KINDS.items()))
    _write_table(folder / name, patients, schema.with_metadata(_metadata(record)))


def read_seen(folder: Path, name: str = PATIENTS, provenance: Provenance | None = None) -> Seen:
    """Read what write_seen wrote into a run, an export or a model directory.

    provenance: of the weights, as backbone.json holds it; says what the list of an earlier release leaves open. A list
    that is not there, or whose images are not, makes what was seen unknown. Raises WeightsError for one that is damaged
    or does not hold as many as were written.
    """
    path = folder / name
    if not path.is_file():
        return Seen(unknown=(f"{folder} holds no {name}: copy the whole folder",), images_unknown=True)
    patients, metadata = _listed(path, _PATIENT_KINDS)
    digest = metadata.get(_DIGEST)
    if digest is not None and digest != hashlib.sha256(metadata.get(_METADATA, b"")).hexdigest().encode():
        raise WeightsError(f"{path} does not hold the record that was written into it. {_COPY}.")
    if _METADATA not in metadata:
        return Seen(patients=patients, unknown=_unknown_of_earlier(provenance or {}, patients), images_unknown=True)
    try:
        record = parse_json(metadata[_METADATA])
        seen = Seen(
            patients=patients,
            salts=record.at("salts").each(JsonValue.texts),
            declared=record.at("declared").texts(),
            unknown=record.at("unknown").texts(),
            images_unknown=record.at("images_unknown").flag(),
        )
        count, images = record.optional("patients", JsonValue.whole), record.at("images").whole()
    except JsonError as error:
        raise WeightsError(f"{path}: {error}. {_COPY}.") from error
    if count is not None and count != len(patients):  # an earlier release did not record it
        raise WeightsError(f"{path} lists {len(patients)} patients, and was written with {count}. {_COPY}.")
    return _with_images(seen, path, images) if images else seen


def _metadata(record: Mapping[str, object]) -> dict[bytes, bytes]:
    content = json.dumps(record).encode()
    return {_METADATA: content, _DIGEST: hashlib.sha256(content).hexdigest().encode()}


def _with_images(seen: Seen, path: Path, count: int) -> Seen:
    """Add the list of images that stands beside a list of patients. count: of images that were written."""
    beside = path.with_name(images_name(path.name))
    if not beside.is_file():
        missing = f"{path.parent} holds no {beside.name}, which belongs to {path.name}: copy the whole folder"
        return replace(seen, unknown=(*seen.unknown, missing))
    images, _ = _listed(beside, _IMAGE_KINDS)
    if len(images) != count:
        raise WeightsError(f"{beside} lists {len(images)} images, {path.name} says {count}. {_COPY}.")
    return replace(seen, images=images)


def _listed(path: Path, kinds: Mapping[str, pa.DataType]) -> tuple[pd.DataFrame, dict[bytes, bytes]]:
    """Read a list of patients or images, and the metadata of its file. kinds: its columns and their types."""
    try:
        file = pq.ParquetFile(arrow_file(read_regular(path)), page_checksum_verification=True)
        if file.metadata.num_rows > _MOST_ROWS:
            raise OSError(f"it has {file.metadata.num_rows:,} rows, more than {_MOST_ROWS:,}")
        if not file.metadata.metadata:  # Arrow's own schema at the least
            raise OSError("it has lost its metadata, or another program wrote it")
        table = file.read(list(kinds))
        metadata = dict(table.schema.metadata or {})
        table = table.select(list(kinds)).replace_schema_metadata(None).cast(pa.schema(list(kinds.items())))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(f"{path} cannot be read as a list of patients or images: {said}. {_COPY}.") from error
    empty = [name for name in kinds if table[name].null_count]
    if empty:
        raise WeightsError(f"{path} has a row without {empty[0]}. {_COPY}.")
    frame: pd.DataFrame = table.to_pandas()
    return frame, metadata


def images_name(name: str) -> str:
    """Name of the list of images that stands beside a list of patients."""
    return name.replace("patients", "images")


def _unknown_of_earlier(provenance: Provenance, patients: pd.DataFrame) -> tuple[str, ...]:
    """What an earlier release left open: an import without --shards, weights of a file to begin with, a lost list."""
    datasets = provenance.get("datasets")
    cited = [one for one in datasets if isinstance(one, Mapping)] if isinstance(datasets, list) else []
    if provenance.get("imported_from") and not cited:
        return (f"the weights of {provenance['imported_from']} were imported without --shards",)
    init = provenance.get("init")
    if isinstance(init, str) and init not in ("random", "imagenet"):
        return (f"training began from the weights of {init}, and an earlier release did not record what they had seen",)
    listed = set(patients["dataset"])
    lost = [one["name"] for one in cited if one.get("name") not in listed]
    return tuple(f"the weights were trained on {name}, and none of its patients is listed" for name in lost)


def _sorted(*salts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({salt for some in salts for salt in some}))


def _table(path: Path) -> pd.DataFrame:
    """Read a declared list, every value as text."""
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read as a table: {error}") from error
    missing = [column for column in _PATIENT_COLUMNS if column not in frame]
    if missing or frame[_PATIENT_COLUMNS].isna().to_numpy().any():
        raise ValueError(
            f"{path} has no column {missing[0]}" if missing else f"{path} has a row without dataset or patient_id"
        )
    return frame[_PATIENT_COLUMNS].astype(str)


def _write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    with write_atomically(path) as file:
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        pq.write_table(table, file, write_page_checksum=True)
