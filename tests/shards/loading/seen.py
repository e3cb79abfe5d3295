"""What a loader hands out, beside what went in: for each view its stored image and the draws behind it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

from shards.format.dataset import Dataset
from shards.loading.augmentation import ViewRange
from shards.loading.loaders import TwoViewBatch
from tests.shards.loading.plain_hashes import draw


@dataclass(frozen=True)
class Seen:
    """One view. image: as stored, uint8 [H, W]; view: as handed out, uint8 [size, size]; draws: float32, as many as the
    range of views needs; tones: its tone curve as handed out, float32 [256], or None."""

    image: npt.NDArray[np.uint8]
    view: npt.NDArray[np.uint8]
    draws: npt.NDArray[np.float32]
    tones: npt.NDArray[np.float32] | None = None


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
            sides = (
                (batch.query, batch.query_tones, query),
                (batch.key, batch.key_tones, query if key is None else key),
            )
            for view, (pixels, tones, image) in enumerate(sides):
                draws = drawn(view_range, view, lambda draw_number: draw(seed, epoch, sample_id, draw_number))  # noqa: B023
                table = None if tones is None else tones[number].numpy()
                yield Seen(image, pixels[number, 0].cpu().numpy(), draws, table)


def drawn(view_range: ViewRange, view: int, draw_of: Callable[[int], float]) -> npt.NDArray[np.float32]:
    """The draws behind a view in the order of their columns, by their numbers written out."""
    plain = 4 if view_range.scale == (1.0, 1.0) and view_range.translate == 0 else 7
    numbers = [7 * view + number for number in range(plain)]
    later = {0: view_range.gain, 1: view_range.offset, 2: view_range.gamma, 3: view_range.crop_area}
    off = {0: (1.0, 1.0), 1: (0.0, 0.0), 2: (1.0, 1.0), 3: (1.0, 1.0)}
    numbers += [1000 + 16 * view + number for number, bounds in later.items() if bounds != off[number]]
    return np.array([draw_of(number) for number in numbers], dtype=np.float32)
