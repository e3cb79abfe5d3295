"""The files that pydicom tests itself with: each is shown as the standard says, by a slow reference, or is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.data
import pytest
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array

from shards.images.gray import read_gray
from shards.images.unusable_image import UnusableImage

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
FILES = sorted(FOLDER.rglob("*.dcm"))
"""Those that the package brings; it downloads others where a test asks for them."""

Values = npt.NDArray[np.float64]


def reference(dataset: pydicom.Dataset) -> Values:
    """What a viewer shows, 0..255 [rows, columns], by the rules of PS3.3, pixel by pixel, in float64."""
    values = pixel_array(dataset)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        return luminance(values, 8 if values.max() <= 255 else 16)
    if values.ndim == 3:
        return luminance(values, used_bits(int(values.max()), int(dataset.BitsStored)))
    values = values.astype(np.int64)
    padding = padded(values, dataset)
    rescaled = np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
    own = own_range(rescaled, padding, dataset)
    shown = next((one for one in prescribed(rescaled, dataset) if not is_absurd(one, own, padding)), own)
    shown = 255 * (1 - shown if photometric == "MONOCHROME1" else shown)
    shown[padding] = 0
    return shown


def luminance(colours: npt.NDArray[Any], bits: int) -> Values:
    scaled = colours.astype(np.float64) * (255 / ((1 << bits) - 1))
    return np.asarray(scaled @ np.array([0.299, 0.587, 0.114]), dtype=np.float64)


def used_bits(most: int, declared: int) -> int:
    return min(declared, next((bits for bits in (8, 10, 12, 14, 16) if most < 2**bits), declared))


def padded(values: npt.NDArray[np.int64], dataset: pydicom.Dataset) -> npt.NDArray[np.bool_]:
    if dataset.get("PixelPaddingValue") is None:
        return np.zeros(values.shape, dtype=bool)
    bits = int(dataset.BitsStored)
    ends = [int(dataset.PixelPaddingValue), int(dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue))]
    ends = [end % (1 << bits) for end in ends]  # the sign may not have been written
    if dataset.PixelRepresentation:
        ends = [end - (1 << bits) if end >= 1 << (bits - 1) else end for end in ends]
    return (values >= min(ends)) & (values <= max(ends))


def own_range(values: Values, padding: npt.NDArray[np.bool_], dataset: pydicom.Dataset) -> Values:
    """All but one pixel in 10,000 at each end; the values as they are where 8 bits or fewer are stored."""
    bits = int(dataset.BitsStored)
    low = -(1 << (bits - 1)) if dataset.PixelRepresentation else 0
    ends = np.asarray(apply_modality_lut(np.array([low, low + (1 << bits) - 1]), dataset), dtype=np.float64)
    if bits <= 8:
        least, most = float(ends.min()), float(ends.max())
    else:
        least, most = np.quantile(values[~padding], [1e-4, 1 - 1e-4], method="inverted_cdf")
        if least == most:
            least, most = values[~padding].min(), values[~padding].max()
    return np.clip((values - least) / (most - least), 0, 1) if most > least else np.zeros_like(values)


def prescribed(values: Values, dataset: pydicom.Dataset) -> list[Values]:
    """The VOI LUT, then the windows of the file, each 0..1."""
    found: list[Values] = []
    for item in dataset.get("VOILUTSequence", [])[:1]:
        data = item.LUTData
        entries = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.atleast_1d(np.asarray(data))
        places = np.clip(values.astype(np.int64) - int(item.LUTDescriptor[1]), 0, len(entries) - 1)
        found.append(entries[places] / ((1 << used_bits(int(entries.max()), int(item.LUTDescriptor[2]))) - 1))
    centres, widths = (
        np.atleast_1d(np.array(dataset.get(name, []), float)) for name in ("WindowCenter", "WindowWidth")
    )
    for centre, width in zip(centres, widths, strict=False):
        if dataset.get("VOILUTFunction", "LINEAR") == "LINEAR" and width > 1:
            found.append(np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))
        elif dataset.get("VOILUTFunction", "LINEAR") == "LINEAR" and width == 1:
            found.append((values > centre - 0.5).astype(float))
    return found


def is_absurd(shown: Values, own: Values, padding: npt.NDArray[np.bool_]) -> bool:
    """Few gray levels where there could be many, or nearly all pixels black or white."""
    levels, possible = (np.round(255 * one[~padding]) for one in (shown, own))
    kept, there = np.unique(levels).size, np.unique(possible).size
    inside, inside_own = (((one > 0) & (one < 255)).mean() for one in (levels, possible))
    return bool(kept < there and (kept < min(32, there) or inside < 0.1 < inside_own))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_is_shown_as_the_standard_says_or_refused_in_words(file: Path) -> None:
    content = file.read_bytes()
    try:
        found = read_gray(content, None)
    except UnusableImage as reason:
        if not str(reason).startswith(("unreadable image: ", "image too large: ")):
            raise
        return
    dataset = pydicom.dcmread(file)
    expected = reference(dataset)
    assert np.abs(found - expected).mean() <= 1
