"""The same phantom in each photometric, transfer syntax, depth, sign, window and padding: the pixels of its PNG."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from ingest.images.suspicious import suspect
from shards.images.gray import Gray, read_gray
from shards.images.shard_image import ingest_image
from shards.images.unusable_image import MAX_PIXELS
from tests.shards.images.test_dicom import COMPRESSED, PLAIN, as_stored, compressed, dicom, radiograph

__all__ = ["radiograph"]

MONOCHROME = ("MONOCHROME2", "MONOCHROME1")
BITS = (8, 10, 12, 14, 16)
WINDOWS = ("none", "linear", "exact", "lookup", "absurd")
PADDINGS = ("none", "value", "range")
BORDER = 5


@dataclass(frozen=True)
class Stored:
    """How a phantom is stored. bits: that are stored, of 8 or 16 allocated."""

    photometric: str
    bits: int
    signed: bool
    window: str
    padding: str


ALL = [Stored(*how) for how in itertools.product(MONOCHROME, BITS, (False, True), WINDOWS, PADDINGS)]
"""300 ways. Stored uncompressed each; the other transfer syntaxes have those of FEW."""
FEW = [how for how in ALL if how.window in ("none", "linear") and how.padding in ("none", "value")]
SYNTAXES = {uid.name: uid for uid in [*PLAIN, RLELossless]} | COMPRESSED


def written(picture: Gray, how: Stored) -> tuple[npt.NDArray[Any], dict[str, Any], Gray]:
    """The values to store, the elements of the header, and the pixels that a viewer shows."""
    low = -(1 << (how.bits - 1)) if how.signed else 0
    first, span = low + (1 << how.bits) // 10, (1 << how.bits) * 8 // 10
    brightness = picture if how.photometric == "MONOCHROME2" else 255 - picture
    values = first + np.round(brightness * (span / 255)).astype(np.int32)
    shown = picture.copy()
    if how.bits == 8 and how.window in ("none", "absurd"):  # 8 bits are gray levels already
        shown = (values - low if how.photometric == "MONOCHROME2" else 255 - (values - low)).astype(np.uint8)
    elements: dict[str, Any] = {"BitsStored": how.bits, "HighBit": how.bits - 1} | window_of(how.window, first, span)
    elements["PhotometricInterpretation"] = how.photometric
    if how.padding != "none":  # around the picture, whose own range stays that of all its pixels
        values, shown = np.pad(values, BORDER), np.pad(shown, BORDER)
        border = np.pad(np.zeros(picture.shape, dtype=bool), BORDER, constant_values=True)
        most = low if how.padding == "value" else low + (1 << how.bits) // 20
        values[border] = np.random.default_rng(1).integers(low, most + 1, int(border.sum()))
        elements["PixelPaddingValue"] = low
        if how.padding == "range":
            elements["PixelPaddingRangeLimit"] = most
    kind = "i" if how.signed else "u"
    return values.astype(f"{kind}{1 if how.bits == 8 else 2}"), elements, shown


def window_of(window: str, first: int, span: int) -> dict[str, Any]:
    """Elements that show `first` as black and `first + span` as white; of an absurd window, all as white."""
    if window == "linear":
        return {"WindowCenter": first + (span + 1) / 2, "WindowWidth": span + 1}
    if window == "exact":
        return {"WindowCenter": first + span / 2, "WindowWidth": span, "VOILUTFunction": "LINEAR_EXACT"}
    if window == "absurd":
        return {"WindowCenter": first - 9000, "WindowWidth": 100}
    if window == "lookup":
        item = pydicom.Dataset()
        item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [span + 1, first, 12])
        item.add_new("LUTData", "OW", np.round(np.linspace(0, 4095, span + 1)).astype("<u2").tobytes())
        return {"VOILUTSequence": [item]}
    return {}


def stored_file(values: npt.NDArray[Any], elements: dict[str, Any], syntax: UID | int, folder: Path) -> bytes:
    """A DICOM file in one of SYNTAXES."""
    if isinstance(syntax, UID):
        return dicom(values, syntax, **elements)
    photometric = elements.pop("PhotometricInterpretation")
    return compressed(dicom(values, **elements), syntax, folder, photometric)


def png_of(pixels: Gray) -> bytes:
    done, content = cv2.imencode(".png", pixels)
    assert done
    return bytes(content.tobytes())


def assert_shown(content: bytes, expected: Gray, how: object) -> None:
    """At most one gray level from the PNG on average; fewer than 32 levels are counted as suspicious."""
    found, wanted = (read_gray(one, None).astype(np.float64) for one in (content, png_of(expected)))
    assert found.shape == wanted.shape, how
    assert np.abs(found - wanted).mean() <= 1, how
    image = ingest_image(content, None, MAX_PIXELS)
    assert image.levels >= 32 or suspect("", "", image.histogram, image.levels) is not None, how


def ways(syntax: str) -> Iterator[Stored]:
    yield from ALL if syntax == ExplicitVRLittleEndian.name else FEW


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_radiograph_has_the_pixels_of_its_png_however_it_is_stored(
    radiograph: Gray,
    syntax: str,
    tmp_path: Path,
) -> None:
    picture = np.pad(radiograph, ((0, 1), (0, 1)), mode="edge")  # GDCM compresses no odd number of bytes
    for how in ways(syntax):
        values, elements, shown = written(picture, how)
        assert_shown(stored_file(values, elements, SYNTAXES[syntax], tmp_path), shown, how)


@pytest.mark.parametrize("syntax", [*PLAIN, RLELossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("kind", ["RGB", "PALETTE COLOR"])
def test_a_radiograph_in_colours_has_the_pixels_of_its_png(
    radiograph: Gray,
    kind: str,
    syntax: UID,
) -> None:
    values, elements = as_stored(radiograph, kind)
    assert_shown(dicom(values, syntax, **elements), radiograph, (kind, syntax))
