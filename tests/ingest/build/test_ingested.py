"""What a shard stores of an image: passed through without its metadata, or decoded, turned upright and encoded."""

import io
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from shards.images.gray import Gray, read_gray
from shards.images.jpeg_markers import JpegStructureError, read_structure, without_metadata
from shards.images.shard_image import Ingested, ingest_image
from shards.images.unusable_image import MAX_PIXELS, UnusableImage
from tests.ingest.archives.layouts import picture

SECRET = b"DOE^JOHN"


def saved(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def gray(height: int = 61, width: int = 83) -> Image.Image:
    return Image.fromarray(picture(4, height, width))


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = SECRET.decode()
    return block


def taken(content: bytes, short_side: int | None = 320) -> Ingested:
    return ingest_image(content, short_side, MAX_PIXELS)


def pixels(jpeg: bytes) -> Gray:
    decoded: Gray = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")[:, :, 0]
    return decoded


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"optimize": True}, {"quality": 40}, {"restart_marker_blocks": 2}],
    ids=str,
)
@pytest.mark.parametrize("short_side", [61, 320, None])
def test_a_small_gray_jpeg_keeps_its_pixels_and_loses_its_metadata(
    options: dict[str, Any], short_side: int | None
) -> None:
    content = saved(gray(), exif=exif(1), comment=SECRET, icc_profile=SECRET * 9, **options)
    assert content.count(SECRET) >= 3
    image = taken(content + b"trailing " + SECRET, short_side)
    assert image.passed_through
    assert SECRET not in image.jpeg
    assert image.jpeg.endswith(b"\xff\xd9")
    assert len(image.jpeg) < len(content) - 3 * len(SECRET)
    np.testing.assert_array_equal(pixels(image.jpeg), pixels(content))
    assert cv2.imdecode(np.frombuffer(image.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE) is not None
    assert (image.height, image.width) == (61, 83)


def test_statistics_are_of_what_every_reader_will_decode() -> None:
    for content in (saved(gray()), saved(gray(), "PNG")):
        image = taken(content)
        decoded = pixels(image.jpeg)
        assert image.histogram.tolist() == [int((decoded == level).sum()) for level in range(256)]
        assert image.histogram.dtype == np.int64


def test_equal_pixels_have_equal_digests_whatever_their_bytes() -> None:
    plain, rearranged = taken(saved(gray())), taken(saved(gray(), optimize=True, comment=b"another file"))
    assert plain.jpeg != rearranged.jpeg
    assert plain.pixels == rearranged.pixels
    assert len(plain.pixels) == 32
    assert taken(saved(gray(), quality=60)).pixels != plain.pixels
    rows = np.asarray(gray())
    for other in (rows[::-1], rows[:, ::-1], np.roll(rows, 8, axis=1)):  # the same gray levels elsewhere
        assert taken(saved(Image.fromarray(other), "PNG")).pixels != taken(saved(gray(), "PNG")).pixels
    flat = np.full((40, 60), 7, np.uint8)
    assert taken(saved(Image.fromarray(flat))).pixels != taken(saved(Image.fromarray(flat.T))).pixels


def test_an_image_that_is_larger_or_in_colour_is_encoded_again() -> None:
    larger = taken(saved(gray(), exif=exif(1), comment=SECRET), short_side=32)
    assert not larger.passed_through
    assert (larger.height, larger.width) == (32, 44)
    colour = taken(saved(gray().convert("RGB"), quality=97, comment=SECRET))
    assert not colour.passed_through
    assert SECRET not in larger.jpeg + colour.jpeg
    assert np.abs(pixels(colour.jpeg).astype(int) - picture(4, 61, 83)).mean() < 1.5
    assert simplejpeg.decode_jpeg_header(colour.jpeg)[2] == "Gray"


@pytest.mark.parametrize("short_side", [40, None])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_an_image_is_stored_upright(form: str, orientation: int, short_side: int | None) -> None:
    content = saved(gray(), form, exif=exif(orientation), **({"quality": 97} if form == "JPEG" else {}))
    with Image.open(io.BytesIO(content)) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened))
    image = taken(content, short_side)
    assert image.passed_through == (form == "JPEG" and orientation == 1 and short_side is None)
    expected = upright
    if short_side is not None:
        scale = short_side / 61
        size = (round(upright.shape[1] * scale), round(upright.shape[0] * scale))
        expected = cv2.resize(upright, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert (image.height, image.width) == expected.shape
    assert np.abs(pixels(image.jpeg).astype(int) - expected).mean() < 1.5


@pytest.mark.parametrize("progressive", [False, True])
def test_an_image_of_four_inks_is_read_as_pillow_reads_it(progressive: bool) -> None:
    content = saved(gray().convert("CMYK"), quality=97, progressive=progressive)
    assert np.abs(read_gray(content, None).astype(int) - picture(4, 61, 83)).mean() < 2
    assert not taken(content).passed_through


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_every_kind_of_png_reads_as_the_gray_picture_it_holds(mode: str, interlaced: bool) -> None:
    expected = picture(5, 41, 67)
    if mode == "1":
        expected = np.where(expected > 100, 255, 0).astype(np.uint8)
    image = Image.fromarray(expected.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(expected)
    image = image if mode == "I;16" else image.convert(mode)
    content = adam7(expected) if interlaced and mode == "L" else saved(image, "PNG")
    np.testing.assert_array_equal(read_gray(content, None), expected)


def test_transparency_is_ignored() -> None:
    image = gray().convert("RGBA")
    image.putalpha(0)
    np.testing.assert_array_equal(read_gray(saved(image, "PNG"), None), picture(4, 61, 83))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_a_pixel_are_spread_over_the_whole_range(bits: int) -> None:
    levels = np.arange(64).reshape(8, 8) % 2**bits
    packed = np.packbits(((levels[:, :, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).reshape(8, -1), axis=1)
    content = png_of(8, 8, bits, b"".join(b"\0" + row.tobytes() for row in packed))
    np.testing.assert_array_equal(read_gray(content, None), levels * 255 // (2**bits - 1))


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.integers(0, 10**6), progressive=st.booleans())
def test_a_damaged_jpeg_is_an_image_or_a_named_reason_and_nothing_else(
    place: int, flip: int, cut: int, progressive: bool
) -> None:
    content = bytearray(saved(gray(40, 50), exif=exif(6), progressive=progressive))
    content[place % len(content)] ^= flip
    damaged = bytes(content[: len(content) - cut % 40])
    try:
        image = taken(damaged)
    except UnusableImage as reason:
        if not str(reason).startswith(("unreadable image: ", "image too large: ")):
            raise
    else:
        assert pixels(image.jpeg).shape == (image.height, image.width)


@given(content=st.binary(max_size=80))
def test_the_parser_of_markers_ends_on_any_bytes(content: bytes) -> None:
    for parse in (read_structure, without_metadata):
        with pytest.raises(JpegStructureError):
            parse(b"\xff\xd8" + content.replace(b"\xff\xd9", b""))


def test_a_bomb_in_a_jpegs_header_is_refused_before_it_is_decoded() -> None:
    content = bytearray(saved(gray()))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(UnusableImage, match="image too large: 65535 x 65535"):
        taken(bytes(content))
    with pytest.raises(UnusableImage, match="image too large: 83 x 61 is more than 5,000 pixels"):
        ingest_image(saved(gray()), None, 5_000)


def png_of(height: int, width: int, bits: int, rows: bytes, interlace: int = 0) -> bytes:
    """A gray PNG of unfiltered rows."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, 0, 0, 0, interlace])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )


def adam7(image: Gray) -> bytes:
    """The image as an interlaced PNG: its seven passes (PNG specification, 8.2)."""
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
    rows = [
        b"\0" + row.tobytes()
        for first_row, down, first_column, across in passes
        for row in image[first_row::down, first_column::across]
        if row.size
    ]
    height, width = image.shape
    return png_of(height, width, 8, b"".join(rows), interlace=1)
