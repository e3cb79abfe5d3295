"""Build a dataset from the options of `cxr-ingest build-shards`: find the reader, fill in its defaults, build."""

import hashlib
from pathlib import Path

from ingest.archives.source import Source, open_source
from ingest.build.dataset_build import Task, build, build_part
from ingest.build.options import BuildShardsOptions
from ingest.build.plan import Options
from ingest.workers import cores
from shards.errors import DatasetError

_LEAST_SALT = 16


def build_shards(options: BuildShardsOptions, salt: bytes | None = None) -> str:
    """Build the dataset, or fill one task's part of it. Returns what to tell: what was built and what to do next.

    salt: the content of options.hash_identifiers, from `read_salt`.
    """
    out = options.out
    source = open_source(options.dataset, options.source, options.test_source)
    resolved = resolve(options, source, salt)
    workers = options.workers or cores()
    if options.task_index is not None and options.task_count is not None:
        task = Task(options.task_index, options.task_count)
        filled = build_part(out, source, resolved, task, workers=workers, max_rejected=options.max_rejected, salt=salt)
        if filled is None:
            return _finished_already(out)
        return f"Task {task.index} of {task.count}: {filled} shards filled. End with: cxr-ingest finalize {out}"
    finished = build(out, source, resolved, workers=workers, max_rejected=options.max_rejected, salt=salt)
    if finished is None:
        return _finished_already(out)
    return finished.report(f"Look at it with: cxr-ingest info {out}")


def resolve(options: BuildShardsOptions, source: Source, salt: bytes | None) -> Options:
    """The options that change bytes, with the reader's own fractions where none are given."""
    valid, test = options.valid_fraction, options.test_fraction
    resolved = Options(
        name=options.name or options.dataset,
        short_side=options.short_side,
        samples_per_shard=options.samples_per_shard,
        seed=options.seed,
        valid_fraction=source.valid_fraction if valid is None else valid,
        test_fraction=source.test_fraction if test is None else test,
        max_pixels=options.max_pixels,
        drop_duplicates=options.drop_duplicates,
        png_range=options.png_range,
        hash_identifiers=None if salt is None else hashlib.sha256(salt).hexdigest(),
    )
    if resolved.valid_fraction + resolved.test_fraction >= 1:
        raise DatasetError(
            f"--valid-fraction {resolved.valid_fraction} and --test-fraction {resolved.test_fraction} leave nothing to "
            "train on: give smaller ones"
        )
    return resolved


def read_salt(path: Path) -> bytes:
    """The bytes of a salt file. Raises ValueError for one short enough to guess: dataset.json holds its SHA-256."""
    salt = path.read_bytes()
    if len(salt) < _LEAST_SALT:
        raise ValueError(
            f"{path} has {len(salt)} bytes; a salt of fewer than {_LEAST_SALT} can be guessed. Make one with: "
            f"head -c 32 /dev/urandom > {path}"
        )
    return salt


def _finished_already(out: Path) -> str:
    return f"{out} is finished already, with these options: nothing to do."
