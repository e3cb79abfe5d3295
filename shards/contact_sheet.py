"""Many small images on one picture, each with a caption: what a person looks at before trusting a dataset."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from shards.durable import write_atomically

GAP, MARGIN, LINE = 8, 16, 14
BACKGROUND, INK, FAINT = 250, 20, 110


def contact_sheet(
    images: Sequence[npt.NDArray[np.uint8]],
    captions: Sequence[str],
    columns: int,
    title: str,
    cell: int = 192,
) -> Image.Image:
    """A sheet of gray images, left to right and top to bottom, at most `columns` a row.

    images: uint8 [H, W] each, of any size, scaled to fit a square cell of `cell` pixels, never enlarged more than
    twice. captions: one an image; lines are split at newlines and shortened to the cell's width.
    """
    if len(images) != len(captions):
        raise ValueError(f"{len(images)} images, {len(captions)} captions")
    columns = max(1, min(columns, len(images)))
    rows = math.ceil(len(images) / columns)
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    font, bold = ImageFont.load_default(11), ImageFont.load_default(16)
    pitch_x, pitch_y = cell + GAP, cell + GAP + lines * LINE
    top = MARGIN + 28
    title_width = math.ceil(bold.getlength(title))
    width = max(2 * MARGIN + columns * pitch_x - GAP, 2 * MARGIN + title_width)
    sheet = Image.new("L", (width, top + rows * pitch_y + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 2), title, fill=INK, font=bold)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = MARGIN + number % columns * pitch_x, top + number // columns * pitch_y
        picture = _fit(image, cell)
        sheet.paste(picture, (x + (cell - picture.width) // 2, y + (cell - picture.height) // 2))
        for line_number, line in enumerate(caption.split("\n")):
            shade = INK if line_number == 0 else FAINT
            draw.text((x, y + cell + 2 + line_number * LINE), _shorten(line, cell, font), fill=shade, font=font)
    return sheet


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG, whole or not at all."""
    stream = io.BytesIO()  # Pillow's own writer does not say why a disk took no more
    picture.save(stream, format="PNG")
    with write_atomically(path) as file:
        file.write(stream.getvalue())


def _fit(image: npt.NDArray[np.uint8], cell: int) -> Image.Image:
    height, width = image.shape
    scale = min(cell / height, cell / width, 2.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)


def _shorten(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
