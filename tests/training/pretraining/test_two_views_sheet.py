"""two_views.png: the pixels on it are those that the networks see."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from shards.contact_sheet import GAP, MARGIN
from shards.loading.loaders import TwoViewBatch
from training.pretraining.two_views_sheet import write_two_views

CELL, TOP = 224, MARGIN + 28


def batch_of(level: int) -> TwoViewBatch:
    """Two images of one gray level, 112 pixels: twice as large on the sheet."""
    views = torch.full((2, 1, 112, 112), level, dtype=torch.uint8)
    return TwoViewBatch(views, views.clone(), torch.tensor([1, 2]))


def shades(folder: Path) -> list[int]:
    """Gray levels in the middles of the sheet's first four cells."""
    with Image.open(folder / "two_views.png") as sheet:
        pixels = np.asarray(sheet)
    return [int(pixels[TOP + CELL // 2, MARGIN + number * (CELL + GAP) + CELL // 2]) for number in range(4)]


def test_views_without_a_tone_curve_are_shown_as_loaded(tmp_path: Path) -> None:
    write_two_views(tmp_path, batch_of(90))
    assert shades(tmp_path) == [90] * 4


def test_each_view_is_shown_with_its_own_tone_curve_rounded_to_whole_levels(tmp_path: Path) -> None:
    tones = torch.zeros(2, 2, 256)
    tones[:, :, 90] = torch.tensor([[10.4, 200.6], [254.8, 61.0]])
    batch = batch_of(90)
    batch = TwoViewBatch(batch.query, batch.key, batch.sample_id, query_tones=tones[:, 0], key_tones=tones[:, 1])
    write_two_views(tmp_path, batch)
    assert shades(tmp_path) == [10, 201, 255, 61]
