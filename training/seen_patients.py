"""Record which patients and images weights have seen (patients.parquet, images.parquet) and how far that is known.

A patient is (dataset name, patient_id): the same number in another dataset is another person. An image is known by the
checksum and the length of its JPEG, under whatever dataset name. `training.leakage` compares a split with the record.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shards.durable import write_atomically
from shards.format.dataset import Dataset
from shards.format.subsets import select
from training.provenance import Provenance

PATIENTS, IMAGES = "patients.parquet", "images.parquet"
RUN_PATIENTS = "run_patients.parquet"
"""Beside a model of a run's start: the patients that the run has seen, and the start has not."""

_METADATA = b"cxr_seen"
_FORMAT_VERSION = 1
_PATIENT_COLUMNS = ["dataset", "patient_id"]
_IMAGE_COLUMNS = ["dataset", "crc32c", "bytes"]
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
        "images": len(images),
        "images_unknown": seen.images_unknown,
        "declared": list(seen.declared),
        "unknown": list(seen.unknown),
    }
    if len(images):
        kinds = {"dataset": pa.string(), "crc32c": pa.uint32(), "bytes": pa.int64()}
        _write_table(folder / images_name(name), images, pa.schema(list(kinds.items())))
    schema = pa.schema([(column, pa.string()) for column in _PATIENT_COLUMNS])
    _write_table(folder / name, patients, schema.with_metadata({_METADATA: json.dumps(record)}))


def read_seen(folder: Path, name: str = PATIENTS, provenance: Provenance | None = None) -> Seen:
    """Read what write_seen wrote into a run, an export or a model directory.

    provenance: of the weights, as backbone.json holds it; says what the list of an earlier release leaves open. A list
    that is not there, or whose images are not, makes what was seen unknown.
    """
    path = folder / name
    if not path.is_file():
        return Seen(unknown=(f"{folder} holds no {name}: copy the whole folder",), images_unknown=True)
    table = pq.read_table(path)
    patients: pd.DataFrame = table.select(_PATIENT_COLUMNS).to_pandas()
    recorded = (table.schema.metadata or {}).get(_METADATA)
    if recorded is None:
        return Seen(patients=patients, unknown=_unknown_of_earlier(provenance or {}, patients), images_unknown=True)
    record = json.loads(recorded)
    images, unknown = no_images(), tuple(record["unknown"])
    beside = folder / images_name(name)
    if record["images"] and beside.is_file():
        images = pq.read_table(beside).to_pandas()
    elif record["images"]:
        unknown += (f"{folder} holds no {beside.name}, which belongs to {name}: copy the whole folder",)
    return Seen(
        patients=patients,
        images=images,
        salts={dataset: tuple(salts) for dataset, salts in record["salts"].items()},
        declared=tuple(record["declared"]),
        unknown=unknown,
        images_unknown=record["images_unknown"],
    )


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
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a table: {error}") from error
    missing = [column for column in _PATIENT_COLUMNS if column not in frame]
    if missing or frame[_PATIENT_COLUMNS].isna().to_numpy().any():
        raise ValueError(
            f"{path} has no column {missing[0]}" if missing else f"{path} has a row without dataset or patient_id"
        )
    return frame[_PATIENT_COLUMNS].astype(str)


def _write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    with write_atomically(path) as file:
        pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), file)
