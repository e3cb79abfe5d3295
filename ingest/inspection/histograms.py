"""Draw gray-level histograms of a finished dataset: of all images, of each split, of the commonest labels.

On the page of small plots a wrong window, an inverted film or a split unlike the others can be seen before a model is
trained on it. Images are read from the shards.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from ingest.inspection.preview import evenly_spaced, read_image
from shards.contact_sheet import contact_sheet
from shards.format.dataset import Dataset
from shards.format.schema import SPLITS, records

LABELS_SHOWN = 8
_SIDE = 256  # a column of the plot for each gray level
_COLUMNS = 4
_PAPER, _BAR, _LINE, _TICK, _INK = 255, 170, 0, 90, 20
_LEFT, _ABOVE, _BELOW, _RIGHT = 46, 20, 34, 8  # pixels around the plot for its axes
_TICK_LENGTH = 4
_LEVELS = (0, 64, 128, 192, 255)

Counts = npt.NDArray[np.int64]


def draw_histograms(dataset: Dataset, count: int) -> Image.Image:
    """A page of histograms over at most `count` images, evenly spaced over the storage order.

    A plot's bars are its own images, the line is all of them, so that where they part can be seen. The horizontal axis
    is the gray level, the vertical one the fraction of pixels, cut off where the black and white ends stand above
    everything else; the captions give their fractions.
    """
    rows = evenly_spaced(dataset.samples, count).reset_index(drop=True)
    counts = np.stack([gray_levels(read_image(dataset, row)) for row in records(rows)])  # [images, 256]
    groups = _groups(rows, dataset.label_names)
    everything = counts.sum(axis=0)
    top = _top(everything)
    plots, captions = [], []
    for name, mask in groups.items():
        own = counts[mask.to_numpy()].sum(axis=0)
        plots.append(with_axes(plot(own, everything, top), top))
        captions.append(f"{name}: {int(mask.sum()):,} images\n{_describe(own)}")
    title = f"{dataset.name}: gray levels of {len(rows):,} of {len(dataset.samples):,} images (line: all of them)"
    return contact_sheet(plots, captions, _COLUMNS, title, cell=_LEFT + _SIDE + _RIGHT)


def gray_levels(image: npt.NDArray[np.uint8]) -> Counts:
    """How often each gray level occurs: int64 [256]."""
    return np.bincount(image.reshape(-1), minlength=256).astype(np.int64)


def plot(own: Counts, everything: Counts, top: float) -> npt.NDArray[np.uint8]:
    """Bars of `own` under a line of `everything`, uint8 [256, 256]; the fraction `top` reaches the upper edge."""
    canvas = np.full((_SIDE, _SIDE), _PAPER, dtype=np.uint8)
    height = np.arange(_SIDE)[::-1, None]  # [256, 1]: of each row above the axis
    canvas[height < _fractions(own)[None, :] / top * _SIDE] = _BAR
    line = np.clip(_fractions(everything) / top * _SIDE, 0, _SIDE - 1)  # [256]
    low, high = np.minimum(line, np.roll(line, 1)), np.maximum(line, np.roll(line, 1))
    low[0], high[0] = line[0], line[0]
    canvas[(height >= np.floor(low)) & (height <= np.floor(high))] = _LINE
    return canvas


def with_axes(plotted: npt.NDArray[np.uint8], top: float) -> npt.NDArray[np.uint8]:
    """The plot in a square with both axes and their ticks. top: the fraction at the plot's upper edge."""
    side = _LEFT + _SIDE + _RIGHT
    canvas = Image.new("L", (side, _ABOVE + _SIDE + _BELOW), _PAPER)
    canvas.paste(Image.fromarray(plotted), (_LEFT, _ABOVE))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(10)
    bottom = _ABOVE + _SIDE
    draw.line((_LEFT - 1, _ABOVE, _LEFT - 1, bottom), fill=_TICK)
    draw.line((_LEFT - 1, bottom, _LEFT + _SIDE - 1, bottom), fill=_TICK)
    for level in _LEVELS:
        draw.line((_LEFT + level, bottom, _LEFT + level, bottom + _TICK_LENGTH), fill=_TICK)
        draw.text((_LEFT + level, bottom + 5), str(level), fill=_INK, font=font, anchor="ma")
    for fraction in fraction_ticks(top):
        y = bottom - round(fraction / top * _SIDE)
        draw.line((_LEFT - 1 - _TICK_LENGTH, y, _LEFT - 1, y), fill=_TICK)
        draw.text((_LEFT - 3 - _TICK_LENGTH, y), f"{100 * fraction:.3g} %", fill=_INK, font=font, anchor="rm")
    draw.text((_LEFT + _SIDE / 2, bottom + 18), "gray level", fill=_INK, font=font, anchor="ma")
    draw.text((2, 2), "fraction of pixels", fill=_INK, font=font)
    return np.asarray(canvas, dtype=np.uint8)


def fraction_ticks(top: float) -> list[float]:
    """Three to six round fractions from 0 up to `top`: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(top / 3))
    step = float(max(factor * power for factor in (1, 2, 5) if factor * power <= top / 2.5))
    return [step * number for number in range(int(top / step + 1e-9) + 1)]


def _groups(rows: pd.DataFrame, label_names: tuple[str, ...]) -> dict[str, pd.Series]:
    """Masks of the rows that each plot shows, by its name."""
    groups = {"all": pd.Series(data=True, index=rows.index)}
    groups |= {split: rows["split"] == split for split in SPLITS}
    groups |= {value: rows["projection"] == value for value in ("frontal", "lateral")}
    positives = {label: rows[label] == 1 for label in label_names}
    common = sorted(positives, key=lambda label: -int(positives[label].sum()))[:LABELS_SHOWN]
    groups |= {f"{label} positive": positives[label] for label in common}
    return {name: mask for name, mask in groups.items() if mask.any()}


def _fractions(counts: Counts) -> npt.NDArray[np.float64]:
    fractions: npt.NDArray[np.float64] = counts / counts.sum()
    return fractions


def _top(counts: Counts) -> float:
    """A scale on which the middle fills the plot: borders and collimators make the ends many times as high."""
    return float(max(_fractions(counts)[2:254].max(), 1 / 256)) * 1.25


def _describe(counts: Counts) -> str:
    fractions = _fractions(counts)
    levels: Any = np.arange(256)
    mean = float((levels * fractions).sum())
    deviation = float(np.sqrt(((levels - mean) ** 2 * fractions).sum()))
    return f"{mean:.1f} ± {deviation:.1f}, black {fractions[:2].sum():.1%}, white {fractions[254:].sum():.1%}"
