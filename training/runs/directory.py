"""Read and write the records of a run directory: its config, its newest checkpoint, whether it is finished.

From them a command tells whether it starts a run, resumes one, or finds it finished.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from shards.durable import write_atomically, write_json_atomically
from shards.input_files import read_regular, read_text
from shards.json_value import JsonError, parse_json
from training.errors import RunError
from training.options import THREADS, Config, PlainValue
from training.runs.checkpoints import checkpoint_path
from training.runs.files import CONFIG, LAST, Last, last_of, options_of
from training.runs.lock import LOCK

MOST_THREADS = THREADS.max or 1
_LONGEST = 200
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class RecordedRun:
    """A run that was started before, as its directory records it. config: its options under their names."""

    run: Path
    config: Config

    @property
    def last(self) -> Last | None:
        """What last.json says, or None before the first checkpoint. Raises RunError as `read_last` does."""
        return read_last(self.run)

    @property
    def threads(self) -> int | None:
        """Number of threads that the run was started with. Raises RunError for a number that is none."""
        threads = self.config.get("threads")
        if threads is None:
            return None
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
            raise RunError(
                f"The run's {CONFIG}: threads is {_shown(threads)}, not a number of threads. Copy the file again, or "
                "write the run's own number there."
            )
        return threads


def read_run(run: Path) -> RecordedRun | None:
    """Read what a run directory records, or None where no run was started. Raises RunError as `read_config` does."""
    config = read_config(run)
    return None if config is None else RecordedRun(run, config)


def read_last(run: Path) -> Last | None:
    """Read last.json of a run, or None before its first checkpoint. Raises RunError if it is not what it should be."""
    path = run / LAST
    if not path.is_file():
        return None
    try:
        return last_of(parse_json(read_regular(path)))
    except (JsonError, OSError) as error:
        raise RunError(
            f"{path} is not the record of a run's newest checkpoint: {error}. Copy it again, or remove it: the same "
            "command then resumes from the newest checkpoint."
        ) from error


def write_last(run: Path, step: int, epoch: int, *, finished: bool) -> None:
    """Record the newest checkpoint, after it has been written."""
    checkpoint = str(checkpoint_path(run, step).relative_to(run))
    write_json_atomically(run / LAST, {"checkpoint": checkpoint, "step": step, "epoch": epoch, "finished": finished})


def read_config(run: Path) -> Config | None:
    """Read the resolved config of a run, or None where no run was started.

    Raises RunError for a folder that holds something else, so that nothing of the person's is mixed into a run.
    """
    path = run / CONFIG
    if path.is_file():
        try:
            return options_of(read_text(path))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RunError(
                f"{path} is no YAML that can be read ({error}). Copy it again, or give another --output."
            ) from error
        except ValueError as error:
            raise RunError(f"{path} does not hold a run's options. Copy it again, or give another --output.") from error
    if run.exists() and (not run.is_dir() or not all(_is_of_a_killed_beginning(entry) for entry in run.iterdir())):
        raise RunError(f"{run} is there and holds no {CONFIG}: it is not a run. Give another --output.")
    return None


def whole_option(run: Path, config: Config, key: str) -> int:
    """Look up an option of the config that is a whole number. Raises RunError naming file and key for anything else."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RunError(f"{run / CONFIG}: {key} is {_shown(value)}, not a whole number. Copy the run again.")
    return value


def write_config(run: Path, config: Config, remarks: list[str]) -> None:
    """Write the resolved config, remarks as comments above it. The file can be given as --config to another run."""
    run.mkdir(parents=True, exist_ok=True)
    head = "".join(f"# {remark}\n" for remark in remarks)
    with write_atomically(run / CONFIG) as file:
        file.write((head + yaml.safe_dump(dict(config), sort_keys=False)).encode())


def _is_of_a_killed_beginning(entry: Path) -> bool:
    """Tell whether a process that was killed while it started a run may have left this.

    Before its config had its name.
    """
    return entry.name == LOCK or (entry.name.startswith(f".{CONFIG}.") and entry.name.endswith(".tmp"))


def _shown(value: PlainValue) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
