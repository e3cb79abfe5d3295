"""Chunks of PNGs: whole, damaged, cut, out of place."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.images.gray import Gray, read_gray
from shards.images.png_chunks import PngStructureError, read_png_structure
from shards.images.unusable_image import UnusableImage
from tests.ingest.archives.layouts import picture

IMAGE: Gray = picture(4, 37, 53)


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    value = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", value)


def header(height: int = 37, width: int = 53) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def data(rows: int = 37) -> bytes:
    return chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in IMAGE[:rows])))


def file(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def test_what_follows_the_end_and_what_a_decoder_may_skip_changes_nothing() -> None:
    content = file(header(), chunk(b"tEXt", b"Comment\0x", checksum=7), chunk(b"zzZz", b"?"), data()) + b"trailing"
    np.testing.assert_array_equal(read_gray(content, None), IMAGE)


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([], "it has no image data"),
        ([header()], "it has no image data"),
        ([data()], "it does not begin with one header"),
        ([header(), header(), data()], "it does not begin with one header"),
        ([chunk(b"IHDR", b"short"), data()], "its header has another length"),
        ([header(), chunk(b"IDAT", b"x", checksum=1)], r"its chunk IDAT at byte 33 is damaged \(CRC\)"),
        ([chunk(b"IHDR", bytes(13), checksum=1)], r"its chunk IHDR at byte 8 is damaged \(CRC\)"),
    ],
)
def test_chunks_that_are_no_whole_png_are_named(chunks: list[bytes], reason: str) -> None:
    with pytest.raises(UnusableImage, match=f"unreadable image: not a whole PNG: {reason}"):
        read_gray(file(*chunks), None)


@settings(max_examples=100)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_flipped_byte_goes_unnoticed(place: int, flip: int) -> None:
    content = bytearray(file(header(), data()))
    place = 8 + place % (len(content) - 8 - 4)  # IEND's own checksum guards nothing
    content[place] ^= flip
    with pytest.raises(UnusableImage, match=r"unreadable image|image too large"):
        read_gray(bytes(content), None)


@given(cut=st.integers(0, 10**6))
def test_a_file_that_ends_early_is_cut_off(cut: int) -> None:
    content = file(header(), data())
    with pytest.raises(PngStructureError, match="cut off"):
        read_png_structure(content[: 8 + cut % (len(content) - 8)])


@pytest.mark.parametrize(
    "image_data",
    [data(rows=20), chunk(b"IDAT", b"no zlib"), chunk(b"IDAT", zlib.compress(b"\x09" * (37 * 54)))],
    ids=["too few rows", "no zlib", "no such filter"],
)
def test_image_data_that_cannot_be_decoded_are_named_and_libpng_is_silent(
    image_data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnusableImage, match="the PNG cannot be decoded"):
        read_gray(file(header(), image_data), None)
    assert capfd.readouterr() == ("", "")
