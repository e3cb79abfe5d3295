import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shards.images.gray import Gray, read_gray, target_size
from shards.images.shard_image import JPEG_QUALITY, encode_gray
from shards.images.unusable_image import UnusableImage
from tests.ingest.archives.layouts import jpeg, picture, png

Make = Callable[[int, int, int], bytes]


def decode_fully(content: bytes) -> Gray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image.astype(np.uint8)


@given(height=st.integers(1, 900), width=st.integers(1, 900), short=st.integers(16, 400))
def test_the_short_side_is_reached_exactly_the_aspect_ratio_kept_and_nothing_enlarged(
    height: int, width: int, short: int
) -> None:
    new_height, new_width = target_size(height, width, short)
    assert min(new_height, new_width) == min(height, width, short)
    scale = min(new_height, new_width) / min(height, width)
    assert abs(new_height - height * scale) <= 0.5
    assert abs(new_width - width * scale) <= 0.5


@pytest.mark.parametrize("size", [(1131, 927), (927, 1131), (640, 640), (700, 2000), (321, 320), (97, 81)])
@pytest.mark.parametrize("make", [jpeg, png])
def test_shrinking_is_within_a_gray_level_of_a_full_decode_with_the_same_filter(
    size: tuple[int, int], make: Make
) -> None:
    content = make(3, *size)
    image = read_gray(content, 160)
    full = decode_fully(content)
    assert image.shape == target_size(*size, 160)
    reference = full if full.shape == image.shape else cv2.resize(full, image.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - reference.astype(int)).mean() < 1


@pytest.mark.parametrize("size", [(1159, 1300), (1157, 1153), (641, 1299), (2577, 1290)])
@pytest.mark.parametrize("short_side", [64, 160, 320])
def test_halving_first_stays_within_a_gray_level_of_the_same_filter(size: tuple[int, int], short_side: int) -> None:
    content = png(3, *size)
    full = decode_fully(content)
    image = read_gray(content, short_side)
    reference = cv2.resize(full, image.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - reference.astype(int)).mean() < 0.5


@pytest.mark.parametrize("make", [jpeg, png])
def test_short_side_none_keeps_the_size_and_the_pixels(make: Make) -> None:
    content = make(1, 211, 173)
    full = decode_fully(content)
    np.testing.assert_array_equal(read_gray(content, None), full)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(64, 48)
    image = read_gray(cv2.imencode(".png", deep)[1].tobytes(), None)
    np.testing.assert_array_equal(image, np.round(deep / 257).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_a_gray_picture_in_any_png_mode_reads_as_itself(mode: str) -> None:
    expected = picture(5, 41, 67)
    stream = io.BytesIO()
    Image.fromarray(expected).convert(mode).save(stream, "PNG")
    np.testing.assert_array_equal(read_gray(stream.getvalue(), None), expected)


def test_a_colour_jpeg_reads_as_its_luminance() -> None:
    stream = io.BytesIO()
    Image.fromarray(picture(5, 40, 64)).convert("RGB").save(stream, "JPEG", quality=95)
    assert np.abs(read_gray(stream.getvalue(), None).astype(int) - picture(5, 40, 64)).max() <= 3


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 0.99), make=st.sampled_from([jpeg, png]))
def test_a_truncated_image_is_unusable(cut: float, make: Make) -> None:
    content = make(2, 120, 90)
    with pytest.raises(UnusableImage, match="unreadable image"):
        read_gray(content[: int(cut * len(content))], 64)


@settings(max_examples=200, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), make=st.sampled_from([jpeg, png]))
def test_a_flipped_byte_gives_an_image_or_a_named_reason_and_nothing_else(place: float, flip: int, make: Make) -> None:
    content = bytearray(make(2, 60, 50))
    content[int(place * len(content))] ^= flip
    try:
        image = read_gray(bytes(content), 40)
    except UnusableImage as reason:
        kind, _, _detail = str(reason).partition(":")
        if kind not in ("unreadable image", "image too large"):
            raise
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 2


@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_image_are_unusable(content: bytes) -> None:
    with pytest.raises(UnusableImage):
        read_gray(content, 320)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    with pytest.raises(UnusableImage, match="60000 x 60000"):
        read_gray(b"\x89PNG\r\n\x1a\n" + chunks, 320)


def test_the_encoded_image_is_a_gray_jpeg_of_the_stated_quality_without_metadata() -> None:
    image = picture(4, 77, 101)
    content = encode_gray(image)
    assert simplejpeg.decode_jpeg_header(content)[:3] == (77, 101, "Gray")
    expected = bytes(
        simplejpeg.encode_jpeg(image[:, :, None], quality=JPEG_QUALITY, colorspace="GRAY", colorsubsampling="Gray")
    )
    assert content == expected
    assert b"Exif" not in content
