"""DICOM: the same picture comes out however it was stored, as a viewer would show it, and nothing of the header."""

import io
from pathlib import Path
from typing import Any

import gdcm  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels.processing import apply_voi_lut
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from ingest.images.suspicious import suspect
from ingest.phantom.acquisition import sample_acquisition
from ingest.phantom.anatomy import sample_anatomy
from ingest.phantom.frontal import frontal
from shards.images.gray import Gray, read_gray
from shards.images.shard_image import ingest_image
from shards.images.unusable_image import MAX_PIXELS, UnusableImage

SECRET = "DOE^JOHN"
COMPRESSED = {
    "JPEG lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG lossless, process 14": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
}
PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.fixture(scope="module")
def radiograph() -> Gray:
    """A phantom's frontal chest, uint8 [97, 119], that uses all gray levels: so its own range is the full one."""
    rng = np.random.default_rng(3)
    picture = frontal(sample_anatomy(rng, True, 50.0), sample_acquisition(rng, "PA"), {}, 1, (119, 97), 1.0)
    stretched = (picture - np.percentile(picture, 0.1)) / np.ptp(np.percentile(picture, [0.1, 99.9]))
    return np.asarray(np.clip(np.round(255 * stretched), 0, 255), dtype=np.uint8)


def dicom(pixels: npt.NDArray[Any], syntax: UID = ExplicitVRLittleEndian, **elements: Any) -> bytes:  # noqa: ANN401
    """A DICOM file of one picture; elements beyond those of plain 8-bit MONOCHROME2."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    big, implicit = syntax == ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    dataset = FileDataset("", {}, bytes(128), meta, is_implicit_VR=implicit, is_little_endian=not big)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    dataset.PatientName, dataset.PatientID = SECRET, SECRET
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    for name, value in elements.items():
        setattr(dataset, name, value)
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    dataset.PixelData = stored + bytes(len(stored) % 2)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def compressed(content: bytes, syntax: int, folder: Path, photometric: str) -> bytes:
    """The same file in another transfer syntax, by GDCM, which compresses MONOCHROME2 only."""
    plain, other = folder / "plain.dcm", folder / "compressed.dcm"
    plain.write_bytes(content)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(other))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    dataset = pydicom.dcmread(other)
    dataset.PhotometricInterpretation = photometric
    dataset.save_as(other)
    return other.read_bytes()


def read(content: bytes) -> Gray:
    return read_gray(content, None)


@pytest.mark.parametrize("syntax", [*PLAIN, RLELossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("kind", ["MONOCHROME2", "MONOCHROME1", "RGB", "PALETTE COLOR", "signed", "12 bits"])
def test_a_radiograph_comes_out_as_it_is_however_it_is_stored(radiograph: Gray, kind: str, syntax: UID) -> None:
    stored, elements = as_stored(radiograph, kind)
    np.testing.assert_array_equal(read(dicom(stored, syntax, **elements)), radiograph)


@pytest.mark.parametrize("syntax", COMPRESSED.values(), ids=COMPRESSED.keys())
@pytest.mark.parametrize("kind", ["MONOCHROME2", "12 bits", "MONOCHROME1 of 12 bits"])
def test_a_compressed_radiograph_comes_out_as_it_is(radiograph: Gray, kind: str, syntax: int, tmp_path: Path) -> None:
    stored, elements = as_stored(radiograph, kind)
    photometric = elements.pop("PhotometricInterpretation", "MONOCHROME2")
    content = compressed(dicom(stored, **elements), syntax, tmp_path, photometric)
    np.testing.assert_array_equal(read(content), radiograph)


def as_stored(picture: Gray, kind: str) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """Values and elements that show as `picture`."""
    if kind == "MONOCHROME1":
        return 255 - picture, {"PhotometricInterpretation": "MONOCHROME1"}
    if kind == "RGB":
        return np.repeat(picture[:, :, None], 3, axis=2), {}
    if kind == "PALETTE COLOR":
        table = (np.arange(256)[::-1].astype("<u2") * 257).tobytes()
        elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
        for colour in ("Red", "Green", "Blue"):
            elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
            elements[f"{colour}PaletteColorLookupTableData"] = table
        return 255 - picture, elements
    if kind == "signed":
        return (picture.astype(np.int16) - 128).astype(np.int8), {}
    spread = np.round(picture * (4095 / 255)).astype(np.uint16)
    elements = {"BitsStored": 12, "HighBit": 11}
    if kind == "MONOCHROME1 of 12 bits":
        return 4095 - spread, {**elements, "PhotometricInterpretation": "MONOCHROME1"}
    return spread, elements


def test_bits_beyond_those_stored_are_ignored(radiograph: Gray) -> None:
    spread, _ = as_stored(radiograph, "12 bits")
    low = dicom(spread | 0x5000, BitsStored=12, HighBit=11)
    high = dicom((spread << 4) | 0x9, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(read(low), radiograph)
    np.testing.assert_array_equal(read(high), radiograph)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(2048.0, 4096.0), (900.5, 777.0), (1500.0, 500.5), (-300.0, 2000.0)])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_a_window_is_applied_as_pydicom_applies_it(
    function: str, centre: float, width: float, photometric: str
) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    content = dicom(
        values, BitsStored=12, HighBit=11, WindowCenter=[centre, 1.0], WindowWidth=[width, 2.0],
        VOILUTFunction=function, PhotometricInterpretation=photometric,
    )  # fmt: skip
    expected = apply_voi_lut(values, pydicom.dcmread(io.BytesIO(content)), index=0) / 4095
    expected = 1 - expected if photometric == "MONOCHROME1" else expected
    assert np.abs(read(content) - 255 * expected).max() < 0.51


def test_values_are_rescaled_before_they_are_windowed() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    content = dicom(values, RescaleSlope=2.0, RescaleIntercept=-100.0, WindowCenter=100.0, WindowWidth=200.0,
                    VOILUTFunction="LINEAR_EXACT")  # fmt: skip
    assert np.abs(read(content) - 255 * np.clip((values * 2.0 - 100) / 200, 0, 1)).max() <= 0.5


def test_a_table_of_values_goes_before_a_window() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    item = pydicom.Dataset()
    item.LUTDescriptor = [256, 0, 12]
    item.add_new("LUTData", "OW", ((255 - np.arange(256)) * 4095 // 255).astype("<u2").tobytes())
    content = dicom(values, VOILUTSequence=[item], WindowCenter=10.0, WindowWidth=20.0)
    assert np.abs(read(content).astype(int) - (255 - values)).max() <= 1


@pytest.mark.parametrize("wrong", [{"WindowWidth": 0}, {"WindowWidth": -5}, {"VOILUTFunction": "NOVEL"}], ids=str)
def test_a_window_that_means_nothing_is_left_out(radiograph: Gray, wrong: dict[str, Any]) -> None:
    content = dicom(radiograph, **{"WindowCenter": 40.0, "WindowWidth": 80.0} | wrong)
    np.testing.assert_array_equal(read(content), radiograph)


def test_nothing_of_the_header_goes_into_the_shard(radiograph: Gray) -> None:
    content = dicom(radiograph)
    assert SECRET.encode() in content
    image = ingest_image(content, 64, MAX_PIXELS)
    assert SECRET.encode() not in image.jpeg
    assert (image.height, image.width, image.passed_through) == (64, 79, False)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 7}, "a DICOM file of 7 frames, not of one"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000 x 60000 is more than"),
        ({"BitsStored": 0}, "cannot be decoded"),
        ({"PhotometricInterpretation": "HSV"}, None),
    ],
    ids=str,
)
def test_what_is_no_single_picture_of_a_sensible_size_is_named(
    radiograph: Gray, elements: dict[str, Any], reason: str | None
) -> None:
    content = dicom(radiograph, **elements)
    if reason is None:
        assert read(content).shape == radiograph.shape  # an unknown gray is shown as it is
        return
    with pytest.raises(UnusableImage, match=reason):
        read(content)


@pytest.mark.filterwarnings("ignore:The value")
@pytest.mark.parametrize("meta", ["as it should be", "no length", "length 0", "long"])
def test_a_deflated_file_may_not_grow_without_end(radiograph: Gray, meta: str) -> None:
    """Wherever pydicom would find the deflated part: it does not ask what the meta information says of its length."""
    content = dicom(radiograph, DeflatedExplicitVRLittleEndian, ImageComments="x" * 20_000_000)
    assert len(content) < 100_000
    assert content[132:140] == b"\2\0\0\0UL\4\0"
    begin, version = content[144:].split(b"\2\0\1\0OB\0\0\2\0\0\0\0\1", 1)
    assert begin == b""
    match meta:
        case "no length":
            content = content[:132] + content[144:]
        case "length 0":
            content = content[:140] + bytes(4) + content[144:]
        case "long":
            length = int.from_bytes(content[140:144], "little") - 2 + 8000
            long = b"\2\0\1\0OB\0\0" + (8000).to_bytes(4, "little") + bytes(8000)
            content = content[:140] + length.to_bytes(4, "little") + long + version
    with pytest.raises(UnusableImage, match="a deflated DICOM file of more than 16,"):
        ingest_image(content, 320, 20_000)


def test_every_file_that_pydicom_tests_itself_with_is_a_picture_or_named() -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    seen = 0
    for file in sorted(folder.rglob("*.dcm")):
        content = file.read_bytes()
        try:
            image = ingest_image(content, 320, MAX_PIXELS)
        except UnusableImage as reason:
            if not str(reason).startswith(("unreadable image: ", "image too large: ")):
                raise
        else:
            assert min(image.height, image.width) <= 320
            assert (suspect("", "", image.histogram, image.levels) is not None) >= (image.levels < 32)
            if gray_values(content) >= 64:
                assert image.levels >= 32, file.name
            seen += 1
    assert seen > 40


def gray_values(content: bytes) -> int:
    """How many different values a picture of one colour stores; 0 for what pydicom alone cannot decode."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    try:
        return np.unique(dataset.pixel_array).size if dataset.SamplesPerPixel == 1 else 0
    except (AttributeError, RuntimeError, NotImplementedError, ValueError):  # whatever its decoders raise
        return 0


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.integers(0, 10**6))
def test_a_damaged_file_is_a_picture_or_named(place: int, flip: int, cut: int) -> None:
    content = bytearray(dicom(np.arange(600, dtype=np.uint16).reshape(20, 30) * 6, BitsStored=12, HighBit=11))
    content[132 + place % (len(content) - 132)] ^= flip
    try:
        image = read(bytes(content[: len(content) - cut % 1000]))
    except UnusableImage as reason:
        if not str(reason).startswith(("unreadable image: ", "image too large: ")):
            raise
    else:
        assert image.dtype == np.uint8
