"""The sheet shows each image where it belongs, whole, with a caption."""

import numpy as np
import numpy.typing as npt
import pytest

from shards.contact_sheet import BACKGROUND, GAP, INK, LINE, MARGIN, contact_sheet

CELL = 64
TOP = MARGIN + 28


def cell_of(sheet: npt.NDArray[np.uint8], column: int, row: int, lines: int) -> npt.NDArray[np.uint8]:
    x, y = MARGIN + column * (CELL + GAP), TOP + row * (CELL + GAP + lines * LINE)
    return sheet[y : y + CELL, x : x + CELL]


def test_images_stand_in_reading_order_with_an_incomplete_last_row() -> None:
    shades = [40, 80, 120, 160, 200]
    images = [np.full((CELL, CELL), shade, dtype=np.uint8) for shade in shades]
    sheet = np.asarray(contact_sheet(images, [""] * 5, columns=3, title="five", cell=CELL))
    for number, shade in enumerate(shades):
        assert (cell_of(sheet, number % 3, number // 3, lines=1) == shade).all()
    assert (cell_of(sheet, 2, 1, lines=1) == BACKGROUND).all()


@pytest.mark.parametrize(("height", "width"), [(128, 64), (20, 200), (8, 8), (1, 300)])
def test_an_image_keeps_its_proportions_and_is_enlarged_at_most_twice(height: int, width: int) -> None:
    image = np.zeros((height, width), dtype=np.uint8)
    sheet = np.asarray(contact_sheet([image], [""], columns=1, title="", cell=CELL))
    ys, xs = np.nonzero(cell_of(sheet, 0, 0, lines=1) < BACKGROUND)
    scale = min(CELL / height, CELL / width, 2)
    assert (int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1) == (max(1, round(height * scale)), max(1, round(width * scale)))


def test_captions_and_title_are_written_and_a_long_line_stays_in_its_cell() -> None:
    images = [np.full((CELL, CELL), 128, dtype=np.uint8)] * 2
    sheet = np.asarray(contact_sheet(images, ["a very long caption indeed\nsecond", ""], 2, "Title", cell=CELL))
    below = sheet[TOP + CELL + 2 : TOP + CELL + 2 + 2 * LINE]
    assert below[:, MARGIN : MARGIN + CELL].min() <= INK + 20
    assert (below[:, MARGIN + CELL :] == BACKGROUND).all()
    assert sheet[:TOP].min() <= INK + 20


def test_no_image_still_makes_a_picture_with_its_title() -> None:
    assert np.asarray(contact_sheet([], [], columns=4, title="nothing")).min() <= INK + 20


def test_a_caption_for_each_image_is_demanded() -> None:
    with pytest.raises(ValueError, match="1 images, 2 captions"):
        contact_sheet([np.zeros((4, 4), dtype=np.uint8)], ["a", "b"], columns=1, title="")
