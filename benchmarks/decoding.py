"""Find the cheapest decode that stays within a gray level of a full decode with the same filter.

Reads full-size phantoms, or a folder of gray images; prints for each candidate the CPU milliseconds an image and the
distance from decoding in full and averaging over areas. `ENOUGH` in shards/images/decode.py was chosen by this table.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from benchmarks.pairs import Comparison, alternate, json_option, quick_option, report
from ingest.phantom import make_phantom
from shards.images.decode import JPEG
from shards.images.gray import Gray, read_gray, target_size

GOAL_GRAY_LEVELS = 1.0

Candidate = Callable[[bytes, int], Gray]
"""A file's bytes and a short side to the small gray picture."""


def area(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> Gray:
    """Average over areas to (height, width)."""
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)


def in_full(content: bytes, short_side: int) -> Gray:
    """Decode every pixel and average once: the reference."""
    if content.startswith(JPEG):
        image = simplejpeg.decode_jpeg(content, colorspace="GRAY")[:, :, 0]
    else:
        image = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    height, width = image.shape
    return area(image, target_size(height, width, short_side))


def at_scales(eighths: Sequence[int], enough: float) -> Candidate:
    """Decode at the smallest of these scales that leaves `enough` times the short side."""

    def decode(content: bytes, short_side: int) -> Gray:
        height, width = simplejpeg.decode_jpeg_header(content)[:2]
        wanted = 8 * enough * short_side
        scale = next((one for one in eighths if min(height, width) * one >= wanted), 8)
        least = {} if scale == 8 else {"min_height": -(-height * scale // 8), "min_width": -(-width * scale // 8)}
        image = simplejpeg.decode_jpeg(content, colorspace="GRAY", **least)[:, :, 0]
        return area(image, target_size(height, width, short_side))

    return decode


CANDIDATES: dict[str, Candidate] = {
    "full decode": in_full,
    "any eighth, 2 times": at_scales(range(1, 8), 2),
    "any eighth, 1 time": at_scales(range(1, 8), 1),
    "1/8, 1/4, 1/2, 2 times": at_scales((1, 2, 4), 2),
    "1/8, 1/4, 1/2, 1.5 times": at_scales((1, 2, 4), 1.5),
    "1/8, 1/4, 1/2, 1 time": at_scales((1, 2, 4), 1),
    "ours (1/8, 1/4, 1/2, 1.8 times)": read_gray,
}
PNG_CANDIDATES: dict[str, Candidate] = {"one average": in_full, "ours (halved once, then averaged)": read_gray}


def milliseconds(candidate: Candidate, contents: Sequence[bytes], short_side: int) -> float:
    """Measure the CPU milliseconds an image."""
    start = time.process_time()
    for content in contents:
        candidate(content, short_side)
    return (time.process_time() - start) / len(contents) * 1e3


def compare(
    kind: str, candidates: dict[str, Candidate], contents: Sequence[bytes], short_side: int, rounds: int
) -> Comparison:
    """Print the table of one format; returns what is chosen beside the full decode."""
    sides = {
        name: lambda candidate=candidate: milliseconds(candidate, contents, short_side)
        for name, candidate in candidates.items()
    }
    figures = alternate(sides, rounds)
    references = [in_full(content, short_side).astype(int) for content in contents]
    click.echo(f"{kind}, {len(contents)} images to short side {short_side}: CPU ms/image, gray levels from full decode")
    for name, candidate in candidates.items():
        distances = [
            float(np.abs(candidate(content, short_side).astype(int) - reference).mean())
            for content, reference in zip(contents, references, strict=True)
        ]
        cost = statistics.median(figures[name])
        click.echo(f"  {name:34} {cost:6.2f}   mean {statistics.mean(distances):.2f}, worst {max(distances):.2f}")
    (reference_name, *_, chosen) = candidates
    if max(distances) >= GOAL_GRAY_LEVELS:
        click.echo(f"  more than {GOAL_GRAY_LEVELS:g} gray level away: look at ENOUGH")
    name = f"{kind}, full decode with the same filter"
    return Comparison(name, figures[chosen], figures[reference_name], "CPU ms/image", False)


@click.command()
@quick_option
@json_option
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Gray JPEGs of your own.")
@click.option("--short-side", type=click.IntRange(min=1), default=320)
def main(quick: bool, json_path: Path | None, images: Path | None, short_side: int) -> None:
    """Measure each way to decode at a reduced scale: CPU milliseconds an image, and the error in gray levels."""
    cv2.setNumThreads(1)
    rounds = 3 if quick else 7
    if images is not None:
        files = sorted(images.rglob("*.jpg"))
        contents = [file.read_bytes() for file in files[:: max(1, len(files) // 200)]]
        found = [compare("JPEG", CANDIDATES, contents, short_side, rounds)]
    else:
        with tempfile.TemporaryDirectory() as folder:
            made = make_phantom(
                Path(folder) / "phantom",
                chexpert_patients=2 if quick else 12,
                shenzhen_images=2 if quick else 6,
                full_size=True,
            )
            jpegs = [file.read_bytes() for file in sorted(made.out.rglob("*.jpg"))]
            pngs = [file.read_bytes() for file in sorted(made.out.rglob("*.png")) if file.read_bytes()[25] == 0]
        found = [compare("JPEG", CANDIDATES, jpegs, short_side, rounds)]
        found.append(compare("PNG", PNG_CANDIDATES, pngs, short_side, rounds))
    report(found, json_path)


if __name__ == "__main__":
    main()
