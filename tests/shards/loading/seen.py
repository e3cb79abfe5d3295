"""What a loader hands out, beside what went in: for each view its stored image and the draws behind it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

from shards.format.dataset import Dataset
from shards.loading.augmentation import DRAWS, ViewRange
from shards.loading.loaders import TwoViewBatch
from tests.shards.loading.plain_hashes import draw


@dataclass(frozen=True)
class Seen:
    """One view. image: as stored, uint8 [H, W]; view: as handed out, uint8 [size, size]; draws: float32, as many as the
    range of views needs."""

    image: npt.NDArray[np.uint8]
    view: npt.NDArray[np.uint8]
    draws: npt.NDArray[np.float32]


def stored_image(dataset: Dataset, sample_id: int) -> npt.NDArray[np.uint8]:
    """The decoded image of a sample, uint8 [H, W]."""
    row = dataset.samples[dataset.samples["sample_id"] == sample_id].iloc[0]
    content = dataset.shard_path(row["shard"]).read_bytes()
    jpeg = content[row["offset"] : row["offset"] + row["bytes"]]
    return np.asarray(simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")[:, :, 0])


def seen_views(
    dataset: Dataset, batches: Iterable[TwoViewBatch], seed: int, view_range: ViewRange, epoch: int = 0
) -> Iterator[Seen]:
    """Both views of each sample of an epoch's batches."""
    for batch in batches:
        for number, sample_id in enumerate(batch.sample_id.tolist()):
            query, key = stored_image(dataset, sample_id), None
            if batch.key_sample_id is not None:
                key = stored_image(dataset, int(batch.key_sample_id[number]))
            for first, views, image in ((0, batch.query, query), (DRAWS, batch.key, query if key is None else key)):
                numbers = range(first, first + view_range.draws)
                draws = np.array([draw(seed, epoch, sample_id, number) for number in numbers], dtype=np.float32)
                yield Seen(image, views[number, 0].cpu().numpy(), draws)
