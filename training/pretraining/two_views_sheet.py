"""Write two_views.png of a run: the augmented views that the networks see, to check before hours of training."""

from pathlib import Path

from shards.contact_sheet import contact_sheet
from shards.durable import write_atomically
from shards.loading.loaders import TwoViewBatch
from training.runs.files import TWO_VIEWS

_SHOWN = 8


def write_two_views(run: Path, batch: TwoViewBatch) -> None:
    """Write both views of the batch's first images side by side, as loaded (uint8, before normalisation)."""
    images, captions = [], []
    for query, key, sample_id in zip(batch.query[:_SHOWN], batch.key[:_SHOWN], batch.sample_id[:_SHOWN], strict=True):
        images += [query[0].cpu().numpy(), key[0].cpu().numpy()]
        captions += [f"query view\n{int(sample_id):016x}", "key view\n"]
    side = batch.query.shape[-1]
    title = f"Two views of {len(images) // 2} images, {side} x {side} pixels"
    sheet = contact_sheet(images, captions, columns=4, title=title, cell=max(112, min(2 * side, 224)))
    with write_atomically(run / TWO_VIEWS) as file:
        sheet.save(file, format="PNG")
