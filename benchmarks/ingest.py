"""Compare the ingest of radiographs: ours against what people write, and against the bare libraries.

Makes synthetic images of the archives' sizes in both source layouts; prints CPU milliseconds an image on one core, and
images/s by the clock on two, where each side has two processes. docs/ingest-speed.md reads the figures.
"""

import contextlib
import csv
import io
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import simplejpeg
import webdataset
from PIL import Image

from benchmarks.pairs import Comparison, alternate, json_option, quick_option, report, seconds
from ingest.archives.chexpert import LABELS
from ingest.archives.source import open_source
from ingest.build.dataset_build import Execution, build
from ingest.build.done_records import forget
from ingest.build.fill import Job, fill_shard
from ingest.build.header import Options, plan_header
from ingest.build.plan import write_plan

SHORT_SIDE = 320
BARE_GOAL = 1 / 1.15  # overhead over bare decode, resize and encode: at most 15 %


@dataclass(frozen=True)
class Release:
    """One kind of source. size: height and width of its images. goal: against what people write.

    grain: standard deviation of the film grain in gray levels, which decides how many bytes a picture has. quality: of
    a JPEG, None for PNG.
    """

    name: str
    size: tuple[int, int]
    grain: float
    quality: int | None
    goal: float

    @property
    def variant(self) -> str:
        """The layout in which such images come."""
        return "shenzhen" if self.quality is None else "chexpert"


# CheXpert's usual size. Its 224,316 images have 439 GB, so 1.96 MB each; 0.6 MB is what an image with little grain has.
FULL_JPEGS = [
    Release("JPEG 2,828 x 2,320, 0.6 MB", (2828, 2320), 1.5, 90, 2.8),
    Release("JPEG 2,828 x 2,320, 1.3 MB", (2828, 2320), 4, 90, 2.8),
    Release("JPEG 2,828 x 2,320, 2.0 MB", (2828, 2320), 7.2, 90, 2.8),
]
FULL_PNG = Release("PNG 3,000 x 2,900, 5.0 MB", (3000, 2900), 4, None, 1.3)  # Shenzhen's have 5.7 MB on average
SMALL_JPEG = Release("JPEG 390 x 320, 50 kB", (390, 320), 4, 95, 1.6)  # CheXpert's small release: 11 GB, so 49 kB each


def radiograph(seed: int, height: int, width: int, grain: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Draw soft shapes under film grain, uint8 [height, width]."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(30, 220, (24, 20)).astype(np.float32)
    shapes = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.clip(shapes + generator.normal(0, grain, (height, width)), 0, 255).astype(np.uint8)


def write_source(folder: Path, release: Release, images: int) -> list[Path]:
    """Write a source of one variant: three different images under many names, since decoding has no cache."""
    contents = [encoded(radiograph(number, *release.size, release.grain), release.quality) for number in range(3)]
    files: list[Path] = []
    for number in range(images):
        if release.quality is None:
            file = folder / f"CXR_png/CHNCXR_{number:04d}_{number % 2}.png"
        else:
            file = folder / f"train/patient{number:05d}/study1/view1_frontal.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        if number < len(contents):
            file.write_bytes(contents[number])
        else:
            file.hardlink_to(files[number % len(contents)])
        files.append(file)
    if release.variant == "chexpert":
        header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS]
        with (folder / "train.csv").open("w", newline="") as table:
            rows = [[str(file.relative_to(folder)), "Male", 50, "Frontal", "AP", *["0"] * 14] for file in files]
            csv.writer(table).writerows([header, *rows])
    return files


def encoded(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], quality: int | None) -> bytes:
    """A gray JPEG of that quality, or a PNG as Pillow writes it, each row with the filter that suits it."""
    if quality is not None:
        content: bytes = simplejpeg.encode_jpeg(
            image[:, :, None], quality=quality, colorspace="GRAY", colorsubsampling="Gray"
        )
        return content
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


@contextlib.contextmanager
def planned(source: Path, release: Release) -> Iterator[Job]:
    """A build of one shard that is ready to be filled. What planning costs is in benchmarks/ingest_scale.py."""
    with tempfile.TemporaryDirectory() as out:
        reader = open_source(release.variant, source)
        options = Options(release.variant, SHORT_SIDE, 100_000, 0, 0.0, 0.0)
        plan = write_plan(Path(out), reader, options, plan_header(reader, options))
        yield Job(Path(out), plan, reader.roots)


def ours(job: Job) -> None:
    """Fill the shard again, from nothing."""
    forget(job.out, job.plan.shards[0])
    fill_shard(job, job.plan.shards[0], lambda read, rejected: None)


def pil_loop(files: Sequence[Path]) -> None:
    """What people write: open, convert, resize bicubically if need be, save, hand to WebDataset's ShardWriter."""
    with (
        tempfile.TemporaryDirectory() as out,
        contextlib.redirect_stdout(io.StringIO()),
        webdataset.ShardWriter(f"{out}/train-%06d.tar", maxcount=100_000) as sink,
    ):
        for number, file in enumerate(files):
            image = Image.open(file).convert("L")
            scale = SHORT_SIDE / min(image.size)
            size = round(image.width * scale), round(image.height * scale)
            small = image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)
            stream = io.BytesIO()
            small.save(stream, "JPEG", quality=95)
            sink.write({"__key__": f"{number:08d}", "jpg": stream.getvalue(), "json": {"label": 0}})


def reencoding_loop(files: Sequence[Path]) -> None:
    """The same without Pillow, for images that are small already: libjpeg-turbo decodes and encodes again."""
    with (
        tempfile.TemporaryDirectory() as out,
        contextlib.redirect_stdout(io.StringIO()),
        webdataset.ShardWriter(f"{out}/train-%06d.tar", maxcount=100_000) as sink,
    ):
        for number, file in enumerate(files):
            image = simplejpeg.decode_jpeg(file.read_bytes(), colorspace="GRAY")
            jpeg = simplejpeg.encode_jpeg(image, quality=95, colorspace="GRAY", colorsubsampling="Gray")
            sink.write({"__key__": f"{number:08d}", "jpg": jpeg, "json": {"label": 0}})


def bare_libraries(files: Sequence[Path]) -> None:
    """The same decode and the same averaging, encode, and nothing else: no tables, no checks, no file written."""
    for file in files:
        content = file.read_bytes()
        if file.suffix == ".png":
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise ValueError(f"{file} cannot be decoded")
            image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
        else:
            least = round(1.8 * SHORT_SIDE)  # a quarter of the full size
            image = simplejpeg.decode_jpeg(content, colorspace="GRAY", min_height=least, min_width=least)[:, :, 0]
        scale = SHORT_SIDE / min(image.shape)
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        simplejpeg.encode_jpeg(small[:, :, None], quality=95, colorspace="GRAY", colorsubsampling="Gray")


def milliseconds(work: Callable[[], None], images: int) -> float:
    """CPU milliseconds an image of this process, which a busy machine disturbs less than the clock on the wall."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / images * 1e3


def measure(release: Release, images: int, rounds: int) -> list[Comparison]:
    """Measure all sides in turn over one source, on one core."""
    bare = reencoding_loop if release is SMALL_JPEG else bare_libraries
    with tempfile.TemporaryDirectory() as folder:
        files = write_source(Path(folder), release, images)
        with planned(Path(folder), release) as job:
            figures = alternate(
                {
                    "ours": lambda: milliseconds(lambda: ours(job), images),
                    "loop": lambda: milliseconds(lambda: pil_loop(files), images),
                    "bare": lambda: milliseconds(lambda: bare(files), images),
                },
                rounds,
            )
    name, goal = ("libjpeg-turbo loop", release.goal) if release is SMALL_JPEG else ("bare libraries", BARE_GOAL)
    unit = "CPU ms/image"
    return [
        Comparison(f"{release.name}, PIL loop", figures["ours"], figures["loop"], unit, False, release.goal),
        Comparison(f"{release.name}, {name}", figures["ours"], figures["bare"], unit, False, goal),
    ]


def measure_on_two_cores(release: Release, images: int, rounds: int) -> Comparison:
    """Builds by two workers against two processes of the PIL loop, that are started already.

    Ours is the difference between a build of four times the images and one of them: the second it takes to start its
    workers is nothing in a build of hours.
    """
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as four:
        write_source(Path(one), release, images)
        files = write_source(Path(four), release, 4 * images)

        def build_rate() -> float:
            short = seconds(lambda: ours_on_two_cores(Path(one), release, images // 2))
            return 3 * images / (seconds(lambda: ours_on_two_cores(Path(four), release, images // 2)) - short)

        with multiprocessing.get_context("spawn").Pool(2) as pool:
            figures = alternate(
                {
                    "ours": build_rate,
                    "loop": lambda: 4 * images / seconds(lambda: pool.map(pil_loop, [files[::2], files[1::2]])),
                },
                rounds,
            )
    name = f"{release.name}, two cores"
    return Comparison(name, figures["ours"], figures["loop"], "images/s", True, release.goal)


def ours_on_two_cores(source: Path, release: Release, shard: int) -> None:
    """A whole build by two workers: plan, fill shards of so many images, finalize."""
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stderr(io.StringIO()):
        reader = open_source(release.variant, source)
        options = Options(release.variant, SHORT_SIDE, shard, 0, 0.0, 0.0)
        build(Path(out), reader, options, Execution(workers=2, max_rejected=0.0))


@click.command()
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    """CPU milliseconds an image to ingest full-size JPEG and PNG on one core, short side 320; images/s on two."""
    cv2.setNumThreads(1)
    jpegs, pngs, small, rounds = (12, 8, 600, 3) if quick else (120, 60, 5000, 7)
    found = []
    for release in FULL_JPEGS:
        found += measure(release, jpegs, rounds)
    found += measure(FULL_PNG, pngs, rounds)
    found += measure(SMALL_JPEG, small, rounds)
    if not quick:
        found += [measure_on_two_cores(release, jpegs, 3) for release in FULL_JPEGS]
        found += [measure_on_two_cores(FULL_PNG, pngs, 3), measure_on_two_cores(SMALL_JPEG, small, 3)]
    report(found, json_path)


if __name__ == "__main__":
    main()
