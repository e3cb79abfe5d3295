"""Feed many damaged images to `ingest_image`, in processes of their own, and count the outcomes.

Whole images of every kind are damaged in ways that follow from a number alone; the numbers of the examples that ended a
process are named. At length:

    python -m tests.shards.images.image_fuzz --examples 100000
"""

import collections
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pydicom
from PIL import Image

from shards.images import dicom_process
from shards.images.shard_image import ingest_image
from shards.images.unusable_image import UnusableImage
from tests.ingest.archives.layouts import picture
from tests.shards.images.test_dicom import COMPRESSED, PLAIN, as_stored, compressed, dicom

MAX_PIXELS = 200_000
MOST_MEGABYTES = 700  # OpenCV and the libraries alone take 180
_REASONS = ("unreadable image: ", "image too large: ")
_SIDE = 48


def wholes() -> dict[str, bytes]:
    """Whole images by name: each format, process, colour and transfer syntax, and pydicom's own smaller files."""
    gray = picture(3, _SIDE, 60)
    image = Image.fromarray(gray)
    found: dict[str, bytes] = {}
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, mode, options in (
        ("gray", "L", {}),
        ("progressive", "L", {"progressive": True, "exif": exif}),
        ("restarts", "L", {"restart_marker_blocks": 2, "comment": b"x" * 40}),
        ("colour", "RGB", {"icc_profile": b"p" * 90}),
        ("four inks", "CMYK", {}),
    ):
        found[f"JPEG {name}"] = _saved(image.convert(mode), "JPEG", **options)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        found[f"PNG {mode}"] = _saved(image.convert(mode), "PNG", exif=exif)
    found["PNG of 16 bits"] = cv2.imencode(".png", gray.astype(np.uint16) * 257)[1].tobytes()
    for syntax in PLAIN:
        found[f"DICOM {syntax.name}"] = dicom(gray, syntax)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("MONOCHROME2", "12 bits"):
            stored, elements = as_stored(gray, kind)
            for name, syntax_number in COMPRESSED.items():
                content = compressed(dicom(stored, **elements), syntax_number, Path(folder), "MONOCHROME2")
                found[f"DICOM {name}, {kind}"] = content
    for file in sorted((Path(pydicom.data.__file__).parent / "test_files").glob("*.dcm")):
        if file.stat().st_size < 40_000:
            found[f"pydicom's {file.name}"] = file.read_bytes()
    return found


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes flipped, cut out, repeated, replaced, or the end cut off; a PNG's checksums then often put right."""
    content = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
        place, length = int(rng.integers(len(content))), int(rng.integers(1, 40))
        match int(rng.integers(6)):
            case 0 | 1:
                content[place] ^= int(rng.integers(1, 256))
            case 2:
                content[place : place + length] = rng.bytes(length)
            case 3 if len(content) > 200:
                del content[place : place + length]
            case 4:
                content[place:place] = content[place : place + length]
            case 5:
                value = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
                content[place : place + 4] = bytes([value]) * len(content[place : place + 4])
    if rng.random() < 0.15:
        del content[int(rng.integers(len(content))) + 1 :]
    return _with_checksums(bytes(content)) if rng.random() < 0.7 else bytes(content)


def outcome(content: bytes, short_side: int | None) -> str:
    """What became of it: an image that every reader decodes, or the kind of the reason. Raises for anything else."""
    try:
        image = ingest_image(content, short_side, MAX_PIXELS)
    except UnusableImage as reason:
        if not str(reason).startswith(_REASONS) or not str(reason).isprintable():
            raise
        return str(reason).partition(":")[0]
    if image.histogram.sum() != image.height * image.width or image.height * image.width > MAX_PIXELS:
        raise AssertionError(f"{image.height} x {image.width} with {image.histogram.sum()} pixels")
    return "an image"


def run_examples(first: int, last: int, at: Path) -> dict[str, Any]:
    """Examples `first` to `last`; the one that is under way stands in the file `at`. Returns counts and peak memory."""
    images = list(wholes().values())
    counts: collections.Counter[str] = collections.Counter()
    with at.open("wb", buffering=0) as file:
        for number in range(first, last):
            os.pwrite(file.fileno(), b"%012d" % number, 0)
            rng = np.random.default_rng(number)
            content = damaged(images[number % len(images)], rng)
            counts[outcome(content, int(rng.choice([16, 40, 320])))] += 1
    processes = os.getpid(), dicom_process._child(MAX_PIXELS).pid
    return {"counts": counts, "megabytes": max(map(peak_megabytes, processes))}


def peak_megabytes(process: int) -> float:
    """Its own since its program began; `ru_maxrss` would begin with the parent's."""
    (line,) = [one for one in Path(f"/proc/{process}/status").read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) / 1e3


def fuzz(examples: int, first: int = 0, batch: int = 5000) -> dict[str, Any]:
    """All examples, in child processes; {"counts", "megabytes", "ended": [number, how], "said": what stderr had}."""
    found: dict[str, Any] = {"counts": collections.Counter(), "megabytes": 0.0, "ended": [], "said": ""}
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / "at"
        number, end = first, first + examples
        while number < end:
            last = min(number + batch, end)
            code = f"from tests.shards.images.image_fuzz import child; child({number}, {last}, {str(at)!r})"
            child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            if child.returncode == 0:
                answer = json.loads(child.stdout)
                found["counts"].update(answer["counts"])
                found["megabytes"] = max(found["megabytes"], answer["megabytes"])
                found["said"] += child.stderr
                number = last
            else:
                stopped = int(at.read_bytes()) if at.is_file() else number
                said = child.stderr.strip().splitlines()[-1:]
                found["ended"].append([stopped, child.returncode, *said])
                number = stopped + 1
    return found


def child(first: int, last: int, at: str) -> None:
    """Body of a child process: its counts as JSON on stdout."""
    click.echo(json.dumps(run_examples(first, last, Path(at))))


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _with_checksums(content: bytes) -> bytes:
    """A PNG with each chunk's CRC put right, so that damage reaches the decoder; anything else as it is."""
    if content[:4] != b"\x89PNG":
        return content
    fixed, place = bytearray(content), 8
    while place + 12 <= len(fixed):
        (length,) = struct.unpack_from(">I", fixed, place)
        end = place + 8 + length
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


@click.command()
@click.option("--examples", type=click.IntRange(min=1), default=20_000)
@click.option("--first", type=click.IntRange(min=0), default=0, help="Number of the first example.")
def main(examples: int, first: int) -> None:
    """Feed damaged images to ingest; exit status 1 where anything but an image or a named reason came out."""
    found = fuzz(examples, first)
    click.echo(f"{dict(found['counts'])}, at most {found['megabytes']:.0f} MB; on stderr: {found['said'][:500]!r}")
    for ended in found["ended"]:
        click.echo(f"example {ended[0]} ended its process: {ended[1:]}")
    if found["ended"] or found["said"] or found["megabytes"] > MOST_MEGABYTES:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
