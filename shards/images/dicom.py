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
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from shards.images.unusable_image import Fault, UnusableImage, check_size, most_bytes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

Gray = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

_MOST_BITS = 16
_META = 0x0002

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages about broken files; the build names the file


def read_dicom(content: bytes, max_pixels: int) -> Gray:
    """The picture, uint8 [rows, columns]: black is air, whatever the photometric interpretation.

    Values pass through the modality LUT or rescaling, then the first VOI LUT or window (C.11.1, C.11.2); without one
    the whole range of stored values is shown. MONOCHROME1 is inverted; of colours the luminance is taken. Raises
    UnusableImage, for more than one frame and for more than `max_pixels` before any pixel is decoded.
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
    frames, rows, columns = (_number(header, name) for name in ("NumberOfFrames", "Rows", "Columns"))
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
        return _luminance(apply_color_lut(values, dataset), bits=16)
    if values.ndim == 3:
        return _luminance(values, bits=int(dataset.BitsStored))
    return _shown(values, dataset, inverted=photometric == "MONOCHROME1")


def _shown(values: npt.NDArray[Any], dataset: "Dataset", *, inverted: bool) -> Gray:
    """Gray levels of a picture, by a table of all values that its bits can hold."""
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    if not 1 <= bits <= _MOST_BITS:
        raise ValueError(f"{bits} bits stored")
    low = -(1 << (bits - 1)) if signed else 0
    stored = np.arange(low, low + (1 << bits), dtype=np.int32)
    table = _display(stored, dataset)
    levels = np.round(255 * (1 - table if inverted else table)).astype(np.uint8)
    # Bits beyond those that are stored may hold anything (overlays, in old files).
    surplus = int(dataset.HighBit) + 1 - bits if dataset.file_meta.TransferSyntaxUID.is_compressed is False else 0
    shown: Gray = levels[((values.astype(np.int32) >> surplus) - low) & ((1 << bits) - 1)]
    return shown


def _display(stored: npt.NDArray[np.int32], dataset: "Dataset") -> Values:
    """What each stored value is shown as, 0 (darkest) .. 1."""
    values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    if "VOILUTSequence" in dataset:
        entry_bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        looked_up = apply_voi(values.astype(np.int64), dataset)
        return np.clip(np.asarray(looked_up, dtype=np.float64) / ((1 << entry_bits) - 1), 0, 1)
    centre, width = (_number(dataset, name) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
        if function == "SIGMOID" and width > 0:
            return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
        if function == "LINEAR_EXACT" and width > 0:
            return np.clip((values - centre) / width + 0.5, 0, 1)
        if function == "LINEAR" and width > 1:
            return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
        if function == "LINEAR" and width == 1:
            return (values > centre - 0.5).astype(np.float64)
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.zeros_like(values)


def _luminance(colours: npt.NDArray[Any], bits: int) -> Gray:
    """Of a picture [rows, columns, 3] in red, green and blue."""
    if bits > 8:
        colours = np.round(colours * (255 / ((1 << bits) - 1)))
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colours, dtype=np.uint8), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _number(dataset: "Dataset", name: str) -> float | None:
    """The first value of an element, None where there is none or it is no number."""
    try:
        value = dataset.get(name)
        if value is None or value == "":
            return None
        number = float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)
    except (ValueError, TypeError, OverflowError, IndexError):  # values are parsed when they are asked for
        return None
    return number if np.isfinite(number) else None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
