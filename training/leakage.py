"""Check a split for leakage: patients and images that weights have seen, and weights of which that is not known."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from training.seen_patients import Seen, salt_of

_SHOWN = 3
_HASHED = re.compile(r"[0-9a-f]{20}")
"""A patient as --hash-identifiers writes it, for lists that do not record the salt."""


@dataclass(frozen=True)
class Leakage:
    """What weights have seen of a split. seen_patients: names. run_patients: those that only the run has seen, of
    which the weights are the start. seen_images: keys of images whose bytes were seen under another dataset name.
    images_unknown: whether an earlier release kept no list of images to look in. unknown: why more may have been seen.
    """

    seen_patients: tuple[str, ...] = ()
    run_patients: tuple[str, ...] = ()
    seen_images: tuple[str, ...] = ()
    images_unknown: bool = False
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Allowed:
    """What a command was told to judge all the same: --allow-seen-patients, --allow-unknown-patients."""

    seen: bool = False
    unknown: bool = False


class LeakageRecord(TypedDict):
    """What model.json and a sidecar say of leakage: numbers, null where unknown, and what was declared and allowed."""

    seen_patients: int
    run_patients: int
    seen_images: int | None
    unknown_patients: list[str]
    declared_patients: list[str]
    allow_seen_patients: bool
    allow_unknown_patients: bool


def leakage_of(seen: Seen, run_seen: Seen, dataset: Dataset, rows: pd.DataFrame) -> Leakage:
    """Find what weights have seen of rows of a dataset. run_seen: of the run whose start the weights are."""
    own, of_run = (seen_among(one.patients, dataset.name, rows) for one in (seen, run_seen))
    both = seen + run_seen
    comparable = not list(_other_salts(both, dataset))
    return Leakage(
        seen_patients=tuple(own),
        run_patients=tuple(of_run),
        seen_images=tuple(_seen_images(both.images, dataset.name if comparable else None, rows)),
        images_unknown=both.images_unknown,
        unknown=(*both.unknown, *_other_salts(both, dataset)),
    )


def refuse_leakage(found: Leakage, split: str, allowed: Allowed) -> None:
    """Raise SubsetError for leakage, and where it is unknown whether there is any, unless that is allowed."""
    if not allowed.seen:
        patients = sorted({*found.seen_patients, *found.run_patients})
        if patients:
            raise SubsetError(
                f"the weights have seen {len(patients)} of the {split} split's patients ({_shown(patients)}): their "
                "predictions say nothing about new patients. Take a split that was held back, or pass "
                "--allow-seen-patients, which the result will say"
            )
        if found.seen_images:
            raise SubsetError(
                f"the weights have seen {len(found.seen_images)} of the {split} split's images under another dataset "
                f"name ({_shown(found.seen_images)}): the JPEGs are the same to the byte. Take a split that was held "
                "back, or pass --allow-seen-patients, which the result will say"
            )
    if found.unknown and not allowed.unknown:
        raise SubsetError(
            f"it is not known whether the weights have seen patients of the {split} split: {'; '.join(found.unknown)}. "
            "Declare what they have seen by --seen-patients none|FILE where weights are named (--init, "
            "--backbone-from, `cxr-train import`), or pass --allow-unknown-patients, which the result will say"
        )


def refuse_seen(seen: Seen, dataset: Dataset, rows: pd.DataFrame, split: str) -> None:
    """Raise SubsetError where weights have seen anything of the rows, or it is not known."""
    refuse_leakage(leakage_of(seen, Seen(), dataset, rows), split, Allowed())


def as_recorded(found: Leakage, seen: Seen, allowed: Allowed) -> LeakageRecord:
    """Make the record of a check: what was found, and what was allowed all the same."""
    images = None if found.images_unknown and not found.seen_images else len(found.seen_images)
    return {
        "seen_patients": len(found.seen_patients),
        "run_patients": len(found.run_patients),
        "seen_images": images,
        "unknown_patients": list(found.unknown),
        "declared_patients": list(seen.declared),
        "allow_seen_patients": allowed.seen,
        "allow_unknown_patients": allowed.unknown,
    }


def seen_among(patients: pd.DataFrame, name: str, rows: pd.DataFrame) -> list[str]:
    """Find the patients of `rows`, of the dataset called `name`, who are among `patients` (dataset, patient_id)."""
    known = set(patients.loc[patients["dataset"] == name, "patient_id"])
    return sorted(known.intersection(rows["patient_id"]))


def _seen_images(images: pd.DataFrame, own: str | None, rows: pd.DataFrame) -> list[str]:
    """Find the keys of rows whose JPEG is listed. own: dataset whose images are left out, since its patients decide."""
    if own is not None:
        images = images[images["dataset"] != own]
    if images.empty:
        return []
    seen = np.isin(_codes(rows), _codes(images)) if len(rows) else np.zeros(0, bool)
    return [str(key) for key in rows.loc[seen, "key"]]


def _codes(images: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A number an image: its checksum, and 32 bits of its length, since two of 10**5 images may share the former."""
    length = images["bytes"].to_numpy(np.uint64) & np.uint64(2**32 - 1)
    return (images["crc32c"].to_numpy(np.uint64) << np.uint64(32)) | length


def _other_salts(seen: Seen, dataset: Dataset) -> Iterator[str]:
    """Say why patients of the dataset cannot be compared by their ids, where they cannot."""
    listed = seen.patients.loc[seen.patients["dataset"] == dataset.name, "patient_id"]
    here, recorded = salt_of(dataset), seen.salts.get(dataset.name, ())
    others = [salt for salt in recorded if salt != here]
    if others:
        yield (
            f"the patients of {dataset.name} had other identifiers in training ({_salted(others[0])} there, "
            f"{_salted(here)} here), so they cannot be compared"
        )
    elif not recorded and len(listed):
        hashed = bool(here) or all(_HASHED.fullmatch(patient) for patient in listed)
        if hashed and not set(listed) & set(dataset.samples["patient_id"]):
            yield (
                f"the patients of {dataset.name} had other identifiers in training (none of these is in the dataset), "
                "so they cannot be compared"
            )


def _salted(salt: str) -> str:
    return f"hashed with the salt {salt}" if salt else "not hashed"


def _shown(names: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
