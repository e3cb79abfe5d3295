"""Write two_views.png of a run: the augmented views that the networks see, to check before hours of training."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from shards.contact_sheet import contact_sheet, write_picture
from shards.loading.loaders import TwoViewBatch
from training.runs.files import TWO_VIEWS

_SHOWN = 8


def write_two_views(run: Path, batch: TwoViewBatch) -> None:
    """Write both views of the batch's first images side by side, before normalisation, with their tone curves."""
    images, captions = [], []
    for number, sample_id in enumerate(batch.sample_id[:_SHOWN].tolist()):
        images += [_shown(batch.query, batch.query_tones, number), _shown(batch.key, batch.key_tones, number)]
        key = "" if batch.key_sample_id is None else f"{int(batch.key_sample_id[number]):016x}"
        captions += [f"query view\n{sample_id:016x}", f"key view\n{key}"]
    side = batch.query.shape[-1]
    title = f"Two views of {len(images) // 2} images, {side} x {side} pixels"
    sheet = contact_sheet(images, captions, columns=4, title=title, cell=max(112, min(2 * side, 224)))
    write_picture(run / TWO_VIEWS, sheet)


def _shown(views: Tensor, tones: Tensor | None, number: int) -> npt.NDArray[np.uint8]:
    """Gray levels of one view, rounded to uint8 [H, W]. views: uint8 [N, 1, H, W]. tones: float32 [N, 256]."""
    pixels: npt.NDArray[np.uint8] = views[number, 0].cpu().numpy()
    return pixels if tones is None else np.rint(tones[number].numpy()).astype(np.uint8)[pixels]
