"""Each way round the leakage check is closed: known leakage is refused, and so is what is not known."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow.parquet as pq
import pytest

from shards.errors import SubsetError
from shards.format.dataset import Dataset
from shards.format.subsets import select
from tests.training.small_shards import write_small_dataset
from training.leakage import Allowed, Leakage, as_recorded, leakage_of, refuse_leakage, refuse_seen
from training.provenance import Provenance
from training.seen_patients import Seen, declared_seen, read_seen, seen_by_training, seen_of_rows, write_seen

SALTS = {"a": "a" * 64, "b": "b" * 64}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_small_dataset(tmp_path_factory.mktemp("leakage") / "tiny")


def renamed(dataset: Dataset, name: str) -> Dataset:
    """The same images under another dataset name, with patients of other numbers."""
    samples = dataset.samples.assign(patient_id="x" + dataset.samples["patient_id"])
    return replace(dataset, description=replace(dataset.description, name=name), samples=samples)


def salted(dataset: Dataset, salt: str) -> Dataset:
    """The dataset as --hash-identifiers would have it."""
    hashed = [f"{salt}{patient.removeprefix('patient').zfill(19)}" for patient in dataset.samples["patient_id"]]
    description = replace(dataset.description, options={"hash_identifiers": SALTS[salt]})
    return replace(dataset, description=description, samples=dataset.samples.assign(patient_id=hashed))


def earlier(seen: Seen, folder: Path, **provenance: object) -> Seen:
    """What is read from the list that an earlier release wrote."""
    seen.patients.to_parquet(folder / "patients.parquet", index=False)
    return read_seen(folder, provenance=cast(Provenance, provenance))


def written(seen: Seen, folder: Path) -> Path:
    write_seen(folder, seen)
    return folder


def without_images(seen: Seen, folder: Path) -> Seen:
    (written(seen, folder) / "images.parquet").unlink()
    return read_seen(folder)


@dataclass(frozen=True)
class Way:
    """A way round the check. seen: what the weights say that they have seen, part of the judged images."""

    seen: Callable[[Dataset, Path], Seen]
    judged: Callable[[Dataset], Dataset]
    message: str
    allowed_by: Allowed


KNOWN, UNKNOWN = Allowed(seen=True), Allowed(unknown=True)
WAYS = {
    "the same patients": Way(
        lambda tiny, _: seen_by_training([tiny]), lambda tiny: tiny,
        r"seen 25 of the train split's patients \(patient00000, patient00001, patient00002 and 22 more\)", KNOWN,
    ),
    "the same images under another dataset name": Way(
        lambda tiny, _: seen_by_training([tiny]), lambda tiny: renamed(tiny, "other"),
        r"seen 50 of the train split's images under another dataset name \(.*\): the JPEGs are the same to the byte",
        KNOWN,
    ),
    "patients hashed with another salt": Way(
        lambda tiny, _: seen_by_training([salted(tiny, "a")]), lambda tiny: salted(tiny, "b"),
        r"seen 50 of the train split's images", Allowed(seen=True, unknown=True),
    ),
    "patients hashed with another salt, images built otherwise": Way(
        lambda tiny, _: replace(seen_by_training([salted(tiny, "a")]), images=Seen().images),
        lambda tiny: salted(tiny, "b"),
        r"not known .* tiny had other identifiers in training \(hashed with the salt a{16} there, hashed with the salt "
        "b{16} here",
        UNKNOWN,
    ),
    "patients hashed after training": Way(
        lambda tiny, _: replace(seen_by_training([tiny]), images=Seen().images), lambda tiny: salted(tiny, "b"),
        r"not known .*\(not hashed there, hashed with the salt b{16} here\)", UNKNOWN,
    ),
    "patients hashed with another salt by an earlier release": Way(
        lambda tiny, folder: earlier(seen_by_training([salted(tiny, "a")]), folder, init="random"),
        lambda tiny: salted(tiny, "b"), r"not known .*tiny had other identifiers in training", UNKNOWN,
    ),
    "a folder without its list of patients": Way(
        lambda _, folder: read_seen(folder), lambda tiny: tiny, r"not known .*holds no patients\.parquet", UNKNOWN,
    ),
    "a folder without its list of images": Way(
        lambda tiny, folder: without_images(seen_by_training([tiny]), folder), lambda tiny: renamed(tiny, "other"),
        r"not known .*holds no images\.parquet, which belongs to patients\.parquet", UNKNOWN,
    ),
    "an import without shards by an earlier release": Way(
        lambda _, folder: earlier(Seen(), folder, imported_from="c.pth.tar", datasets=[], init=None),
        lambda tiny: tiny, r"not known .*c\.pth\.tar were imported without --shards", UNKNOWN,
    ),
    "a run of an earlier release from the weights of a file": Way(
        lambda _, folder: earlier(Seen(), folder, init="w.safetensors", datasets=[]),
        lambda tiny: tiny, r"not known .*began from the weights of w\.safetensors", UNKNOWN,
    ),
    "a run of an earlier release that lists none of its dataset": Way(
        lambda _, folder: earlier(Seen(), folder, init="random", datasets=[{"name": "tiny", "digest": "0"}]),
        lambda tiny: tiny, r"not known .*trained on tiny, and none of its patients is listed", UNKNOWN,
    ),
    "patients of a declared table": Way(
        lambda tiny, folder: declared_table(tiny, folder), lambda tiny: tiny, "seen 25 of the train split's patients",
        KNOWN,
    ),
}  # fmt: skip


def declared_table(tiny: Dataset, folder: Path) -> Seen:
    seen_by_training([tiny]).patients.to_csv(folder / "mine.csv", index=False)
    return declared_seen(str(folder / "mine.csv"))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("of_run", [False, True], ids=["own", "of the run whose start it is"])
def test_each_way_round_the_check_is_closed_and_can_be_allowed(
    name: str, of_run: bool, tiny: Dataset, tmp_path: Path
) -> None:
    way = WAYS[name]
    seen, judged = way.seen(tiny, tmp_path), way.judged(tiny)
    found = leakage_of(*((Seen(), seen) if of_run else (seen, Seen())), judged, select(judged, "train"))
    with pytest.raises(SubsetError, match=way.message):
        refuse_leakage(found, "train", Allowed())
    other = Allowed(seen=not way.allowed_by.seen, unknown=not way.allowed_by.unknown)
    if other != Allowed():
        with pytest.raises(SubsetError, match=way.message):
            refuse_leakage(found, "train", other)
    refuse_leakage(found, "train", way.allowed_by)


@pytest.mark.parametrize("of_an_earlier_release", [False, True])
@pytest.mark.parametrize("salt", [None, "a"])
def test_patients_who_were_held_back_pass(
    salt: str | None, of_an_earlier_release: bool, tiny: Dataset, tmp_path: Path
) -> None:
    dataset = tiny if salt is None else salted(tiny, salt)
    seen = seen_by_training([dataset])
    if of_an_earlier_release:
        seen = earlier(seen, tmp_path, init="imagenet", datasets=[dataset.citation])
    refuse_seen(seen, dataset, select(dataset, "valid"), "valid")


def test_equal_images_within_a_dataset_are_left_to_its_patients(tiny: Dataset) -> None:
    rows = select(tiny, "train")
    twin = select(tiny, "valid").assign(crc32c=rows["crc32c"].iloc[0], bytes=rows["bytes"].iloc[0])
    assert leakage_of(seen_by_training([tiny]), Seen(), tiny, twin) == Leakage()


def test_an_image_of_the_same_checksum_and_another_length_is_another_image(tiny: Dataset) -> None:
    other = renamed(tiny, "other")
    rows = select(other, "train")
    assert leakage_of(seen_by_training([tiny]), Seen(), other, rows.assign(bytes=rows["bytes"] + 1)) == Leakage()


def test_what_is_written_is_read_again(tiny: Dataset, tmp_path: Path) -> None:
    seen = seen_of_rows(salted(tiny, "a"), select(salted(tiny, "a"), "valid")) + declared_seen("none")
    seen = replace(seen, unknown=("a reason",), images_unknown=True)
    again = read_seen(written(seen, tmp_path))
    for key in ("salts", "declared", "unknown", "images_unknown"):
        assert getattr(again, key) == getattr(seen, key), key
    assert sorted(map(tuple, again.patients.to_numpy())) == sorted(map(tuple, seen.patients.to_numpy()))
    assert sorted(map(tuple, again.images.to_numpy())) == sorted(map(tuple, seen.images.to_numpy()))
    assert pq.read_schema(tmp_path / "images.parquet").names == ["dataset", "crc32c", "bytes"]


def test_a_list_of_an_earlier_release_leaves_images_open_in_what_is_recorded(tiny: Dataset, tmp_path: Path) -> None:
    seen = earlier(seen_by_training([tiny]), tmp_path, init="random")
    found = leakage_of(seen, Seen(), tiny, select(tiny, "valid"))
    recorded = as_recorded(found, seen, Allowed())
    assert (recorded["seen_images"], recorded["seen_patients"], recorded["unknown_patients"]) == (None, 0, [])
    newer = seen_by_training([tiny])
    found = leakage_of(newer, Seen(), tiny, select(tiny, "valid"))
    assert as_recorded(found, newer, Allowed())["seen_images"] == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "there is no file"),
        (pd.DataFrame({"patient": ["p"]}), "has no column dataset"),
        (pd.DataFrame({"dataset": ["a"], "patient_id": [None]}), "a row without dataset or patient_id"),
    ],
)
def test_a_declaration_that_says_nothing_is_refused(table: pd.DataFrame | None, message: str, tmp_path: Path) -> None:
    if table is not None:
        table.to_csv(tmp_path / "seen.csv", index=False)
    with pytest.raises(ValueError, match=message):
        declared_seen(str(tmp_path / "seen.csv"))


def test_a_declared_list_of_a_run_brings_its_images_and_salts(tiny: Dataset, tmp_path: Path) -> None:
    seen = declared_seen(str(written(seen_by_training([salted(tiny, "a")]), tmp_path) / "patients.parquet"))
    assert seen.declared == ("patients.parquet, 25 patients",)
    assert (len(seen.images), seen.salts) == (50, {"tiny": ("a" * 16,)})
