"""Gray levels of a DICOM picture: which stored values are shown as black and as white.

The first of these that shows the picture is taken: a VOI LUT, the windows in their order, the range of the picture's
own pixels. Padding never counts as a pixel. Sections are those of DICOM PS3.3 (2024).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.processing import apply_modality_lut, apply_voi

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Gray = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.float64]

TAIL = 1e-4
"""Fraction of the pixels that the own range leaves out at each end: markers and dead pixels are brighter and darker."""

FEWEST_LEVELS = 32
"""A window that shows fewer gray levels, where the own range shows more, is none: it was made for other values."""

_MOST_BITS = 16
_LEAST_INSIDE = 0.1  # windows of radiographs keep most pixels off black and white; collimated borders take half of them
_USUAL_BITS = (8, 10, 12, 14, 16)
_TAIL_OF_TRUE_RANGE = 2.0


def gray_levels(values: npt.NDArray[Any], dataset: "Dataset", *, inverted: bool) -> Gray:
    """The picture as it is shown, uint8 [rows, columns]; padding is black.

    values: as stored, [rows, columns]. inverted: MONOCHROME1, whose least value is white. Computed by a table of all
    values that the stored bits can hold. Raises ValueError for a number of bits that no picture has.
    """
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    if not 1 <= bits <= _MOST_BITS:
        raise ValueError(f"{bits} bits stored")
    low = -(1 << (bits - 1)) if signed else 0
    stored = np.arange(low, low + (1 << bits), dtype=np.int32)  # [2 ** bits]
    places = _places(values, dataset, bits, low)
    counts = cv2.calcHist([places], [0], None, [1 << bits], [0, 1 << bits]).reshape(-1).astype(np.float64)
    padding = _padding(stored, dataset, bits, low)
    counts[padding] = 0
    table = _display(stored, counts, dataset)
    levels = np.round(255 * (1 - table if inverted else table)).astype(np.uint8)
    levels[padding] = 0
    shown: Gray = levels.take(places, mode="clip")  # twice as fast without a check of each place
    return shown


def used_bits(most: int, declared: int) -> int:
    """How many bits values up to `most` use, of the usual numbers of bits, at most as many as are declared."""
    return min(declared, next((bits for bits in _USUAL_BITS if most < 1 << bits), declared))


def number(dataset: "Dataset", name: str) -> float | None:
    """The first value of an element, None where there is none or it is no number."""
    found = numbers(dataset, name)
    return found[0] if found else None


def numbers(dataset: "Dataset", name: str) -> list[float | None]:
    """All values of an element, None for each that is no finite number."""
    try:
        value = dataset.get(name)
        if value is None or value == "":
            return []
        values = list(value) if isinstance(value, pydicom.multival.MultiValue) else [value]
    except (ValueError, TypeError, OverflowError):  # values are parsed when they are asked for
        return []
    return [_finite(one) for one in values]


def _finite(value: Any) -> float | None:  # noqa: ANN401 - whatever an element holds
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if np.isfinite(found) else None


def _places(values: npt.NDArray[Any], dataset: "Dataset", bits: int, low: int) -> npt.NDArray[np.uint16]:
    """Of each pixel the place of its value in a table from `low` on, uint16 [rows, columns]."""
    # Bits beyond those that are stored may hold anything (overlays, in old files).
    surplus = int(dataset.HighBit) + 1 - bits if dataset.file_meta.TransferSyntaxUID.is_compressed is False else 0
    if values.dtype.itemsize > 2:
        places = (values >> surplus).astype(np.uint16)
    else:
        narrow = values.astype(np.int16 if values.dtype.kind == "i" else np.uint16)
        places = np.right_shift(narrow.view(np.uint16), np.uint16(surplus))
    places -= np.uint16(low & 0xFFFF)  # modulo 2 ** 16, as all of this
    places &= np.uint16((1 << bits) - 1)
    return places


def _padding(stored: npt.NDArray[np.int32], dataset: "Dataset", bits: int, low: int) -> npt.NDArray[np.bool_]:
    """Which of the stored values mean that there is no pixel (C.7.5.1.1.2): one value, or all from it to its limit.

    The elements may have been written without regard to the sign of the pixels, so only the stored bits count.
    """
    ends = [number(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return np.zeros(stored.shape, dtype=bool)
    found = [((int(end) - low) & ((1 << bits) - 1)) + low for end in ends if end is not None]
    return (stored >= min(found)) & (stored <= max(found))


def _display(stored: npt.NDArray[np.int32], counts: Counts, dataset: "Dataset") -> Values:
    """What each stored value is shown as, 0 (darkest) .. 1. counts: how many pixels have it."""
    values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    own = _own_range(values, counts, dataset)
    for shown in _prescribed(values, dataset):
        if not _is_absurd(shown, counts, own):
            return shown
    return own


def _prescribed(values: Values, dataset: "Dataset") -> Iterator[Values]:
    """What the file prescribes: the first VOI LUT (C.11.2.1.1), then its windows (C.11.2.1.2), like `_display`."""
    if "VOILUTSequence" in dataset:
        looked_up = np.asarray(apply_voi(values.astype(np.int64), dataset), dtype=np.float64)
        yield np.clip(looked_up / _white_of_lut(dataset), 0, 1)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    for centre, width in zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False):
        if centre is not None and width is not None and (shown := _window(values, centre, width, function)) is not None:
            yield shown


def _window(values: Values, centre: float, width: float, function: str) -> Values | None:
    """Values through a window, None for one that means nothing."""
    if function == "SIGMOID" and width > 0:
        sigmoid: Values = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
        return sigmoid
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if function == "LINEAR" and width > 1:
        return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    if function == "LINEAR" and width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return None


def _white_of_lut(dataset: "Dataset") -> int:
    """The entry of the VOI LUT that is white: of the bits it declares, or of fewer where its entries need fewer.

    Some devices declare 16 bits and fill in 12, which would leave 16 gray levels of 256.
    """
    item = dataset.VOILUTSequence[0]
    declared = int(item.LUTDescriptor[2])
    data = item.LUTData
    if isinstance(data, bytes):
        entries = np.frombuffer(data, dtype="<u2" if len(data) % 2 == 0 and declared > 8 else np.uint8)
    else:
        entries = np.atleast_1d(np.asarray(data))
    most = int(entries.max()) if entries.size else 0
    return (1 << used_bits(most, declared)) - 1


def _own_range(values: Values, counts: Counts, dataset: "Dataset") -> Values:
    """The values over the range of the picture's own pixels, as `_display` returns.

    Pictures of 8 bits and fewer are shown as they are stored: their values are gray levels already. Otherwise TAIL of
    the pixels is left out at each end, unless the file says what its least and largest value are, and that is true.
    """
    least, most = float(values.min()), float(values.max())
    if values.size > 256:
        full = least, most
        least, most = _percentiles(values, counts)
        least, most = _true_range(values, counts, dataset, (least, most)) or (least, most)
        near = (full[1] - full[0]) / 255
        if least - full[0] <= near and full[1] - most <= near:  # within a gray level of all that the bits can hold
            least, most = full
    return np.clip((values - least) / (most - least), 0, 1) if most > least else np.zeros_like(values)


def _percentiles(values: Values, counts: Counts) -> tuple[float, float]:
    """The values that TAIL of the pixels are below and above; the whole range where those are equal."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    if below[-1] == 0:  # padding throughout
        return 0.0, 0.0
    places = np.searchsorted(below, [TAIL * below[-1] + 1e-9, (1 - TAIL) * below[-1]])
    least, most = values[order][np.minimum(places, values.size - 1)]
    if least == most:
        least, most = values[counts > 0].min(), values[counts > 0].max()
    return float(least), float(most)


def _true_range(
    values: Values, counts: Counts, dataset: "Dataset", own: tuple[float, float]
) -> tuple[float, float] | None:
    """SmallestImagePixelValue and LargestImagePixelValue, rescaled, where they are the ends of the pixels' values.

    None where they are not, and where single pixels stretch them far beyond `own`.
    """
    said = [number(dataset, name) for name in ("SmallestImagePixelValue", "LargestImagePixelValue")]
    if said[0] is None or said[1] is None or not counts.any():
        return None
    ends = np.asarray(apply_modality_lut(np.array(said, dtype=np.int32), dataset), dtype=np.float64)
    seen = values[counts > 0]
    least, most = float(seen.min()), float(seen.max())
    if (least, most) != (float(ends.min()), float(ends.max())) or most - least > _TAIL_OF_TRUE_RANGE * (
        own[1] - own[0]
    ):
        return None
    return least, most


def _is_absurd(shown: Values, counts: Counts, own: Values) -> bool:
    """Whether a window hides the picture: nearly all black and white, or few gray levels where there could be many."""
    total = counts.sum()
    if total == 0:
        return False
    levels, possible = np.round(255 * shown), np.round(255 * own)
    seen = counts > 0
    kept, there = np.unique(levels[seen]).size, np.unique(possible[seen]).size
    if kept >= there:
        return False
    inside = counts[(levels > 0) & (levels < 255)].sum() / total
    inside_own = counts[(possible > 0) & (possible < 255)].sum() / total
    return bool(kept < min(FEWEST_LEVELS, there) or (inside < _LEAST_INSIDE < inside_own))
