"""`cxr-ingest build-shards`: a raw dataset becomes shards, in one go or as one task of an array."""

import hashlib
from pathlib import Path

import click

from ingest.archives.source import VARIANTS
from ingest.workers import cores
from shards.format.identity import KEY_PATTERN

_LEAST_SALT = 16
_SHARE = click.FloatRange(0, 1, max_open=True)


class ShortSide(click.ParamType[int | None]):
    """A number of pixels, or `none`."""

    name = "pixels|none"

    def convert(self, value: str | int | None, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Parse the option; `none` becomes None."""
        if value is None or str(value).lower() == "none":
            return None
        if not str(value).isdecimal() or int(value) < 16:
            self.fail(f"{value!r} is neither a number of pixels from 16 on nor 'none'", param, ctx)
        return int(value)


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--dataset", type=click.Choice(VARIANTS), required=True, help="Layout of SOURCE.")
@click.option("--name", help="Name of the dataset, part of every sample id. Default: the value of --dataset.")
@click.option("--short-side", type=ShortSide(), default="320", help="Shrink to this short side; never enlarges.")
@click.option("--samples-per-shard", type=click.IntRange(1, 100_000), default=1024)
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes.  [default: the cores at hand]")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the shuffle. Splits do not depend on it.")
@click.option("--valid-fraction", type=_SHARE, default=None, help="Of train's samples.  [default: the dataset's]")
@click.option("--test-fraction", type=_SHARE, default=None, help="Of train's samples.  [default: the dataset's]")
@click.option(
    "--test-source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of CheXpert's released test set.",
)
@click.option("--max-rejected", type=click.FloatRange(0, 1), default=0.01, help="Share of rows that may be missing.")
@click.option(
    "--max-pixels", type=click.IntRange(1), default=100_000_000, help="Of an image; a larger one is rejected."
)
@click.option("--drop-duplicates", is_flag=True, help="Exclude all but one of exactly equal images from every subset.")
@click.option(
    "--hash-identifiers",
    metavar="SALT_FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Replace patients, studies and keys by hashes keyed with this file's bytes; paths are left out.",
)
@click.option("--task-index", type=click.IntRange(0), help="With --task-count: fill only this task's shards.")
@click.option("--task-count", type=click.IntRange(1))
def build_shards(
    source: Path,
    out: Path,
    dataset: str,
    name: str | None,
    short_side: int | None,
    samples_per_shard: int,
    workers: int | None,
    seed: int,
    valid_fraction: float | None,
    test_fraction: float | None,
    test_source: Path | None,
    max_rejected: float,
    max_pixels: int,
    drop_duplicates: bool,
    hash_identifiers: Path | None,
    task_index: int | None,
    task_count: int | None,
) -> None:
    """Read the raw dataset in SOURCE and write it as shards to OUT.

    SOURCE is the folder of the archive, or its parent: docs/datasets.md draws each. Reads tables and
    images; writes OUT/*.tar, *.idx, samples.parquet, rejected.csv, duplicates.csv and, last, dataset.json.

    Run the same command again after any interruption: finished shards are kept. In an array give each task
    --task-index I --task-count N, in any order or at once, then run `cxr-ingest finalize OUT`.
    """
    from ingest.archives.source import open_source
    from ingest.build.dataset_build import Task, build, build_part
    from ingest.build.plan import Options

    if name is not None and not KEY_PATTERN.fullmatch(name):
        raise click.BadParameter(f"{name!r}: only letters, digits, '_' and '-'", param_hint="--name")
    if (task_index is None) != (task_count is None):
        raise click.UsageError("--task-index and --task-count go together")
    if test_source is not None and test_fraction:
        raise click.UsageError("--test-source brings the test split: leave --test-fraction out")
    salt = None if hash_identifiers is None else _read_salt(hash_identifiers)
    reader = open_source(dataset, source, test_source)
    options = Options(
        name=name or dataset,
        short_side=short_side,
        samples_per_shard=samples_per_shard,
        seed=seed,
        valid_fraction=reader.valid_fraction if valid_fraction is None else valid_fraction,
        test_fraction=reader.test_fraction if test_fraction is None else test_fraction,
        max_pixels=max_pixels,
        drop_duplicates=drop_duplicates,
        hash_identifiers=None if salt is None else hashlib.sha256(salt).hexdigest(),
    )
    if options.valid_fraction + options.test_fraction >= 1:
        raise click.UsageError("--valid-fraction and --test-fraction leave nothing to train on")
    workers = workers or cores()
    if task_index is not None and task_count is not None:
        if task_index >= task_count:
            raise click.UsageError(f"--task-index {task_index} is not below --task-count {task_count}: it begins at 0")
        task = Task(task_index, task_count)
        filled = build_part(out, reader, options, task, workers=workers, max_rejected=max_rejected, salt=salt)
        if filled is None:
            click.echo(f"{out} is finished already, with these options: nothing to do.")
        else:
            click.echo(
                f"Task {task_index} of {task_count}: {filled} shards filled. End with: cxr-ingest finalize {out}"
            )
        return
    finished = build(out, reader, options, workers=workers, max_rejected=max_rejected, salt=salt)
    if finished is None:
        click.echo(f"{out} is finished already, with these options: nothing to do.")
        return
    click.echo(str(finished))
    click.echo(f"Look at it with: cxr-ingest info {out}")


def _read_salt(path: Path) -> bytes:
    """A salt too short to guess: its SHA-256 stands in dataset.json, and so must not give it away."""
    salt = path.read_bytes()
    if len(salt) < _LEAST_SALT:
        raise click.BadParameter(
            f"{path} has {len(salt)} bytes; a salt of fewer than {_LEAST_SALT} can be guessed. Make one with: "
            f"head -c 32 /dev/urandom > {path}",
            param_hint="--hash-identifiers",
        )
    return salt
