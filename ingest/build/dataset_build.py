"""Run a whole build, or one task's part of it: plan, fill, finalize.

The dataset is the same for any number of workers, tasks and restarts.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ingest.archives.source import Source
from ingest.build.done_records import is_finished
from ingest.build.fill import Job, fill_shard
from ingest.build.finalize import Finished, clear_abandoned, finalize
from ingest.build.header import Header, Options, differences, named, plan_header
from ingest.build.options import MAX_REJECTED
from ingest.build.out_folder import refuse_others_folder, refuse_own_packages, remove_build
from ingest.build.plan import Plan, read_plan, write_plan
from ingest.images.links import LinkRule
from ingest.images.source_file import STRICT
from ingest.workers import run
from shards.errors import DatasetError
from shards.format.dataset import DESCRIPTION, open_dataset
from shards.format.description import description_from_json
from shards.images.ranges import AUTO
from shards.json_value import JsonError, parse_json
from shards.terminal.logs import NOTE
from shards.terminal.progress import progress

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a build is run. workers: processes. max_rejected: fraction of the rows that may be missing.

    salt: keys the hashes that replace identifiers, where options.hash_identifiers asks for them. follow_links: whether
    links of folders that lead out of the source are followed.
    """

    workers: int
    max_rejected: float = MAX_REJECTED
    salt: bytes | None = None
    follow_links: bool = True


@dataclass(frozen=True)
class Task:
    """Part of an array: task `index` of `count` fills every count-th shard."""

    index: int
    count: int


def build(out: Path, source: Source, options: Options, execution: Execution) -> Finished | None:
    """Plan, fill and finalize. None where the dataset was finished before, with the same options and tables."""
    with _told_plainly(out):
        refuse_others_folder(out)
        planned = _planned(out, source, options, execution)
        if planned is None:
            return None
        plan, links = planned
        fill(out, plan, source, plan.shards, execution.workers, links, execution.salt)
        return finalize(out, plan, execution.max_rejected)


def build_part(out: Path, source: Source, options: Options, task: Task, execution: Execution) -> int | None:
    """Plan, if no other task has, and fill one task's shards. Returns how many it filled, None as `build` does.

    execution.max_rejected: is noted in the plan for `finish`, and not judged here.
    """
    with _told_plainly(out):
        refuse_others_folder(out)
        planned = _planned(out, source, options, execution)
        if planned is None:
            return None
        plan, links = planned
        shards = plan.shards[task.index :: task.count]
        return fill(out, plan, source, shards, execution.workers, links, execution.salt)


def _planned(out: Path, source: Source, options: Options, execution: Execution) -> tuple[Plan, LinkRule] | None:
    """The plan of a build; None where it is finished."""
    header = plan_header(source, options)
    if is_built(out, header):
        return None
    links = LinkRule(execution.follow_links, os.path.realpath(out))
    salt, max_rejected = execution.salt, execution.max_rejected
    return ensure_plan(out, source, options, header, salt=salt, max_rejected=max_rejected, links=links), links


def finish(out: Path, max_rejected: float | None = None) -> Finished | None:
    """Finalize what tasks have filled. None where the dataset is finished already.

    max_rejected: None takes the fraction that the tasks were given.
    """
    if (out / DESCRIPTION).is_file():
        open_dataset(out, check_shards=False)  # raises where it is none of ours
        remove_build(out)
        return None
    plan = read_plan(out)
    if plan is None:
        raise DatasetError(f"{out}: neither a dataset nor a build in progress is there; begin with build-shards")
    with _told_plainly(out):
        return finalize(out, plan, plan.max_rejected if max_rejected is None else max_rejected)


def ensure_plan(
    out: Path,
    source: Source,
    options: Options,
    header: Header,
    *,
    salt: bytes | None = None,
    max_rejected: float = MAX_REJECTED,
    links: LinkRule | None = None,
) -> Plan:
    """Read the plan of this build, if there is one of the same options and tables, or write a new one.

    Two tasks that plan at once write the same bytes. Raises DatasetError where a plan of something else is there.
    """
    plan = read_plan(out)
    if plan is None:
        _log.log(NOTE, "Planning ...")
        plan = write_plan(out, source, options, header, salt=salt, max_rejected=max_rejected, links=links)
    differing = differences(plan.header.facts, header.facts)
    if differing:
        raise DatasetError(
            f"{out} holds a build in progress of something else: {'; '.join(differing)}. Resume it with the options "
            "and tables it was started with, or build into another folder."
        )
    return plan


def is_built(out: Path, header: Header) -> bool:
    """Whether `out` is a finished dataset of this header. Raises DatasetError where it is one of another."""
    path = out / DESCRIPTION
    if not path.is_file():
        return False
    try:
        description = description_from_json(parse_json(path.read_bytes()))
        tables = description.options["source_tables"]
        if not isinstance(tables, Mapping):
            raise TypeError("source_tables is no object")
    except (JsonError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is not a dataset that build-shards made ({error!r}): choose another OUT") from error
    options = {key: value for key, value in description.options.items() if not isinstance(value, Mapping)}
    if (header.options.png_range or AUTO) == AUTO:  # what was decided from the images is no option
        options.pop("png_range", None)
    options |= {"name": description.name, "seed": description.seed}
    there = {"variant": description.variant, **named("options", options), **named("source_tables", tables)}
    asked = {key: value for key, value in header.recorded_options.items() if (key, value) != ("png_range", AUTO)}
    here = {"variant": header.variant, **named("options", asked), **named("source_tables", header.source_tables)}
    differing = differences(there, here)
    if differing:
        raise DatasetError(
            f"{out} is a finished dataset of something else: {'; '.join(differing)}. Build into another folder, or "
            "delete this one first."
        )
    remove_build(out)
    return True


def fill(
    out: Path,
    plan: Plan,
    source: Source,
    shards: Iterable[str],
    workers: int,
    links: LinkRule = STRICT,
    salt: bytes | None = None,
) -> int:
    """Fill those of the shards that are not finished. Returns how many that were."""
    shards = list(shards)
    clear_abandoned(out)
    todo = [shard for shard in shards if not is_finished(out, plan, shard, source.roots, salt)]
    if len(todo) < len(shards):
        _log.log(NOTE, "%d of %d shards are there already.", len(shards) - len(todo), len(shards))
    job = Job(out, plan, source.roots, links, salt)
    rejected = 0
    with progress(plan.count(todo), "Filling shards", "images") as bar:

        def report(read: int, refused: int) -> None:
            nonlocal rejected
            rejected += refused
            bar.advance(read, rejected=rejected)

        run(partial(fill_shard, job), todo, workers, report)
    if (out / DESCRIPTION).is_file():  # another task had the same shards, and the build has ended
        remove_build(out)
    return len(todo)


@contextlib.contextmanager
def _told_plainly(out: Path) -> Iterator[None]:
    """Turn errors of the operating system (disk full, no permission) into one that says what to do."""
    refuse_own_packages(out)
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{out}: {error}. Nothing half-written counts: see to it and run the same command again; finished shards "
            "are kept."
        ) from error
