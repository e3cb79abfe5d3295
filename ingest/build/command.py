"""Build a dataset from the options of `cxr-ingest build-shards`: find the reader, fill in its defaults, build."""

import hashlib
from pathlib import Path

from ingest.archives.recognition import another_dataset
from ingest.archives.source import VARIANTS, Source, open_source
from ingest.build.dataset_build import Execution, Task, build, build_part
from ingest.build.header import Options
from ingest.build.options import BuildShardsOptions
from ingest.build.out_folder import refuse_source
from ingest.own.columns import SINGLE, table_columns
from ingest.own.folder import OwnFolder
from ingest.own.module import open_module
from ingest.own.names import FOLDER, MODULE, TABLE
from ingest.own.table import OwnTable
from ingest.tables.files import tables_up_to
from ingest.workers import cores
from shards.errors import DatasetError
from shards.format.identity import is_key
from shards.input_files import read_regular

_LEAST_SALT, _LARGEST_SALT = 16, 1 << 20


def build_shards(options: BuildShardsOptions, salt: bytes | None = None) -> str:
    """Build the dataset, or fill one task's part of it. Returns what to tell: what was built and what to do next.

    Run it again after an interruption: finished shards are kept. salt: the content of options.hash_identifiers, where
    the caller has read it already. Raises DatasetError for a source that cannot be read, too many rejected rows, or a
    folder that holds something else; ValueError for a salt that is too short.
    """
    with tables_up_to(options.max_table_bytes):
        return _build_shards(options, salt)


def _build_shards(options: BuildShardsOptions, salt: bytes | None) -> str:
    out = options.out
    if salt is None and options.hash_identifiers is not None:
        salt = read_salt(options.hash_identifiers)
    refuse_source(out, [options.source, *([options.test_source] if options.test_source else [])])
    source = open_reader(options)
    _demand_name(options, source)
    resolved = resolve(options, source, salt)
    execution = Execution(
        workers=options.workers or cores(),
        max_rejected=options.max_rejected,
        salt=salt,
        follow_links=options.follow_links,
    )
    if options.task_index is not None and options.task_count is not None:
        task = Task(options.task_index, options.task_count)
        filled = build_part(out, source, resolved, task, execution)
        if filled is None:
            return _finished_already(out)
        return f"Task {task.index} of {task.count}: {filled} shards filled. End with: cxr-ingest finalize {out}"
    finished = build(out, source, resolved, execution)
    if finished is None:
        return _finished_already(out)
    return finished.report(f"Look at it with: cxr-ingest info {out}")


def resolve(options: BuildShardsOptions, source: Source, salt: bytes | None) -> Options:
    """The options that change bytes, with the reader's own fractions where none are given."""
    valid, test = options.valid_fraction, options.test_fraction
    resolved = Options(
        name=options.name or default_name(options),
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


def open_reader(options: BuildShardsOptions) -> Source:
    """The reader that the options name. Raises DatasetError for options that another reader has."""
    own = {name: getattr(options, name) for name in ("table", *SINGLE, "label_columns")}
    given = [name for name, value in {**own, "mapping": options.mapping}.items() if value is not None]
    if options.dataset != TABLE and given:
        raise DatasetError(f"--{given[0].replace('_', '-')} goes with --dataset table, not {options.dataset}")
    if options.dataset != FOLDER and options.patient_from is not None:
        raise DatasetError(f"--patient-from goes with --dataset folder, not {options.dataset}")
    if options.dataset in (TABLE, FOLDER) and options.test_source is not None:
        raise DatasetError(f"--test-source goes with an archive: leave it out of --dataset {options.dataset}")
    if options.dataset == TABLE:
        return OwnTable(options.source, table_columns(own, options.mapping))
    if options.dataset == FOLDER:
        return OwnFolder(options.source, options.patient_from)
    if MODULE.fullmatch(options.dataset):
        return open_module(options.dataset, options.source, options.test_source)
    return open_source(options.dataset, options.source, options.test_source)


def _demand_name(options: BuildShardsOptions, source: Source) -> None:
    """Raise DatasetError where a set in an archive's layout that is not the archive has no name of its own."""
    why = another_dataset(source) if options.name is None else None
    if why is not None:
        raise DatasetError(
            f"{options.source} has the layout of {options.dataset} and is another dataset: {why}. Give it a name of "
            "its own with --name, so that its samples and patients are not taken for the archive's; if it is the "
            f"archive all the same, with a table that was changed, give --name {options.dataset}."
        )


def default_name(options: BuildShardsOptions) -> str:
    """The name of a dataset that is given none: the archive's, or for your own radiographs the folder's.

    Two sets of your own would else share a name, and their patients be taken for the same. Raises DatasetError for a
    folder whose name cannot be that of a dataset.
    """
    if options.dataset in VARIANTS:
        return options.dataset
    name = options.source.resolve().name
    if not is_key(name):
        raise DatasetError(f"{name!r} cannot be the name of the dataset: give one by --name (letters, digits, _ and -)")
    return name


def read_salt(path: Path) -> bytes:
    """The bytes of a salt file. Raises ValueError for one short enough to guess: dataset.json holds its SHA-256."""
    try:
        salt = read_regular(path, _LARGEST_SALT)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read as a salt: {error.strerror}") from error
    if len(salt) < _LEAST_SALT:
        raise ValueError(
            f"{path} has {len(salt)} bytes; a salt of fewer than {_LEAST_SALT} can be guessed. Make one with: "
            f"head -c 32 /dev/urandom > {path}"
        )
    return salt


def _finished_already(out: Path) -> str:
    return f"{out} is finished already, with these options: nothing to do."
