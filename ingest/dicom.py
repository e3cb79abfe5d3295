"""DICOM radiographs to gray pixels: bytes in, a picture as a viewer would show it out.

Only pixels leave this module: nothing of the header does but what its pixels are to be seen by. Loaded when the first
DICOM file is met, for pydicom is slow to start. Sections are those of DICOM PS3.3 (2024).
"""

import io
import logging
import warnings
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Gray = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

_MOST_BITS = 16
_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it speaks of what it cannot decode; we name the file


class UnreadableDicom(Exception):  # noqa: N818 - not an error of the program: a reason to reject one input
    """A DICOM file that holds no picture that can be shown. The message says why."""


class DicomHeader(NamedTuple):
    """compressed: whether GDCM must decode the pixels; pydicom does it where they lie plain or run-length coded."""

    rows: int
    columns: int
    compressed: bool


def read_header(content: bytes, most_bytes: int) -> DicomHeader:
    """What decides how the picture is read. Raises UnreadableDicom, also for more than one frame.

    most_bytes: so long may a deflated file become, of which pydicom inflates all to read the first word.
    """
    if _is_bomb(content, most_bytes):
        raise UnreadableDicom(f"a deflated DICOM file of more than {most_bytes:,} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
            frames, rows, columns = (_number(header, name) for name in ("NumberOfFrames", "Rows", "Columns"))
            syntax = header.file_meta.get("TransferSyntaxUID")
    except Exception as error:  # as in read_dicom
        raise UnreadableDicom(f"a DICOM file whose header cannot be read: {_first_line(error)}") from error
    if (frames or 1) != 1:
        raise UnreadableDicom(f"a DICOM file of {frames:g} frames, not of one")
    if rows is None or columns is None:
        raise UnreadableDicom("a DICOM file without a picture")
    return DicomHeader(int(rows), int(columns), syntax not in (*_PLAIN, RLELossless))


def read_dicom(content: bytes) -> Gray:
    """The picture, uint8 [rows, columns]: black is air, whatever the photometric interpretation.

    Values pass through the modality LUT or rescaling, then the first VOI LUT or window (C.11.1, C.11.2); without one
    the whole range of stored values is shown. MONOCHROME1 is inverted; of colours the luminance is taken. Raises
    UnreadableDicom.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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
    except Exception as error:  # a parser of others' over bytes of others': it raises whatever it likes
        raise UnreadableDicom(f"a DICOM file that cannot be decoded: {_first_line(error)}") from error


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


def _is_bomb(content: bytes, most_bytes: int) -> bool:
    """Whether a deflated file is longer than that. Its data follow the file's meta information (PS3.10, 7.1)."""
    if DeflatedExplicitVRLittleEndian.encode() not in content[:4096] or content[132:140] != b"\2\0\0\0UL\4\0":
        return False
    begin = 144 + int.from_bytes(content[140:144], "little")
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS)
        return len(inflated.decompress(content[begin:], most_bytes + 1)) > most_bytes
    except zlib.error:
        return False  # pydicom will say so


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
