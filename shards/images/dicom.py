"""Decode DICOM radiographs to gray pixels, as a viewer would show them.

Of the header only what changes the picture is used, and none of it is returned. Loaded when the first DICOM file is
met, since pydicom is slow to start. Sections are those of DICOM PS3.3 (2024).
"""

import io
import logging
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from shards.images.dicom_display import gray_levels, number, used_bits
from shards.images.unusable_image import Fault, UnusableImage, check_size, most_bytes

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

Gray = npt.NDArray[np.uint8]

_META = 0x0002

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages about broken files; the build names the file


def read_dicom(content: bytes, max_pixels: int) -> Gray:
    """The picture, uint8 [rows, columns]: black is air, whatever the photometric interpretation.

    Values pass through the modality LUT or rescaling, then the VOI LUT or window (C.11.1, C.11.2); where there is none
    that shows the picture, the range of its own pixels is shown. MONOCHROME1 is inverted; of colours the luminance is
    taken. Raises UnusableImage, for more than one frame and for more than `max_pixels` before any pixel is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            size = _checked_size(content, max_pixels)
            shown = _read(content)
        except UnusableImage:
            raise
        except Exception as error:  # a parser of others' over bytes of others': it raises whatever it likes
            raise UnusableImage(
                Fault.UNREADABLE, f"a DICOM file that cannot be decoded: {_first_line(error)}"
            ) from error
    if shown.shape != size:
        raise UnusableImage(Fault.UNREADABLE, f"its header says {size[1]} x {size[0]}, its pixels are {shown.shape}")
    return shown


def _checked_size(content: bytes, max_pixels: int) -> tuple[int, int]:
    """Rows and columns, by the header. pydicom inflates all of a deflated file to read the first word of it."""
    _refuse_bomb(content, most_bytes(max_pixels))
    header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    frames, rows, columns = (number(header, name) for name in ("NumberOfFrames", "Rows", "Columns"))
    if (frames or 1) != 1:
        raise UnusableImage(Fault.UNREADABLE, f"a DICOM file of {frames:g} frames, not of one")
    if rows is None or columns is None:
        raise UnusableImage(Fault.UNREADABLE, "a DICOM file without a picture")
    size = int(rows), int(columns)
    check_size(*size, max_pixels)
    return size


def _refuse_bomb(content: bytes, limit: int) -> None:
    """Raise UnusableImage where a deflated file is longer than that; what is inflated begins where pydicom begins.

    That is behind the file's meta information, group 2 (PS3.10, 7.1). What zlib cannot inflate is left to pydicom.
    """
    stream = io.BytesIO(content)
    read_preamble(stream, force=False)
    meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_behind_meta)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[stream.tell() :], limit + 1)
    except zlib.error:
        return
    if len(inflated) > limit:
        raise UnusableImage(Fault.TOO_LARGE, f"a deflated DICOM file of more than {limit:,} bytes")


def _behind_meta(tag: "BaseTag", vr: str | None, length: int) -> bool:
    return tag.group != _META


def _read(content: bytes) -> Gray:
    dataset = pydicom.dcmread(io.BytesIO(content))
    # GDCM knows run lengths, too, but has ended the process over them.
    runs = dataset.file_meta.TransferSyntaxUID == RLELossless
    values = pixel_array(dataset, decoding_plugin="pydicom" if runs else "", correct_unused_bits=False)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(values, dataset)
        return _luminance(colours, bits=8 if colours.max() <= 255 else 16)  # some palettes fill in 8 bits of their 16
    if values.ndim == 3:
        return _luminance(values, bits=used_bits(int(values.max()), int(dataset.BitsStored)))
    return gray_levels(values, dataset, inverted=photometric == "MONOCHROME1")


def _luminance(colours: npt.NDArray[Any], bits: int) -> Gray:
    """Of a picture [rows, columns, 3] in red, green and blue."""
    if bits > 8:
        colours = np.round(colours * (255 / ((1 << bits) - 1)))
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colours, dtype=np.uint8), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
