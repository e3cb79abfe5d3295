"""Draw a contact sheet of a finished dataset: images read from the shards, captions from samples.parquet."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import simplejpeg
from PIL import Image

from shards.contact_sheet import contact_sheet
from shards.errors import DatasetError
from shards.format.dataset import Dataset
from shards.format.schema import Row, records, text, whole
from shards.input_files import open_watched

_COLUMNS = 8


def draw_sheet(dataset: Dataset, count: int, split: str | None) -> Image.Image:
    """At most `count` images of a split (of all where None), evenly spaced over the storage order.

    Captions: key; labels that are positive or, with `?`, uncertain; split, projection, sex and age; that it is
    excluded, where it is.
    Raises DatasetError where there is no image, or one cannot be decoded.
    """
    rows = dataset.samples if split is None else dataset.samples[dataset.samples["split"] == split]
    if rows.empty:
        raise DatasetError(f"{dataset.root} has no {split} split: nothing to draw")
    chosen = list(records(evenly_spaced(rows, count)))
    images = [read_image(dataset, row) for row in chosen]
    captions = [_caption(row, dataset.label_names) for row in chosen]
    title = f"{dataset.name}: {len(chosen)} of {len(rows):,} images, digest {dataset.digest[:12]}"
    return contact_sheet(images, captions, _COLUMNS, title)


def evenly_spaced(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` of the rows, the first and the last among them."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))]


def read_image(dataset: Dataset, row: Row) -> npt.NDArray[np.uint8]:
    """The image of a row of samples.parquet, uint8 [H, W]. Raises DatasetError where it cannot be decoded."""
    with open_watched(dataset.shard_path(text(row, "shard"))) as file:
        file.seek(whole(row, "offset"))
        content = file.read(whole(row, "bytes"))
    try:
        image: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(content, colorspace="GRAY")[:, :, 0]
    except ValueError as error:
        raise DatasetError(f"{row['shard']} {row['key']}: {error}. Run `cxr-ingest verify {dataset.root}`.") from error
    return image


def _caption(row: Row, label_names: tuple[str, ...]) -> str:
    positive = [label for label in label_names if row[label] == 1]
    uncertain = [f"{label}?" for label in label_names if row[label] == -1]
    negative = any(row[label] == 0 for label in label_names)
    findings = ", ".join(positive + uncertain) or ("all negative" if negative else "no label")
    age = None if row["age"] is None else f"{row['age']:.3g} y"
    projection = row["projection"] if row["ap_pa"] is None else row["ap_pa"]
    excluded = None if row["excluded"] is None else "excluded"
    known = [value for value in (excluded, row["split"], projection, row["sex"], age) if isinstance(value, str)]
    return "\n".join([text(row, "key"), findings, ", ".join(known)])
