"""Find out from the run directory whether a run starts, resumes or is finished already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.pretraining.options import EARLIER_VALUES, FREE_OPTIONS, PretrainOptions
from training.processes.devices import available_threads, choose_device
from training.runs.directory import read_config, read_last, refuse_other_config
from training.runs.lock import RunLock
from training.runs.newest_checkpoint import newest_whole


@dataclass(frozen=True)
class Start:
    """State of the run directory as the first process has found it.

    options: with what was left open filled in. begun: the directory holds a config. step: of the checkpoint to resume
    from. finished: what a finished run has done, in words.
    """

    options: PretrainOptions
    begun: bool = False
    step: int | None = None
    finished: str | None = None


def find_start(options: PretrainOptions, lock: RunLock) -> Start:
    """Read the run directory; a run that was started before is locked from here on.

    Raises ResumeError for a run with other options, RunError for a folder that is no run or that is in use.
    """
    recorded = read_config(options.output)
    options = resolved(options, recorded)
    if recorded is None:
        return Start(options)
    refuse_other_config(options.output, EARLIER_VALUES | recorded, options.as_config(), FREE_OPTIONS)
    last = read_last(options.output)
    if last is not None and last.finished:
        return Start(options, begun=True, finished=f"{last.step} steps, {last.epoch} epochs")
    lock.acquire()
    return Start(options, begun=True, step=newest_whole(options.output))


def resolved(options: PretrainOptions, recorded: Mapping[str, Any] | None) -> PretrainOptions:
    """Fill in the device and the number of threads; a run keeps the number that its config records."""
    threads = options.threads or (recorded or {}).get("threads") or available_threads()
    return options.resolved(device=choose_device(options.device), threads=threads)
