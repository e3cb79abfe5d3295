"""Read and write the records of a run directory: its config, its newest checkpoint, whether it is finished.

From them a command tells whether it starts a run, resumes one, or finds it finished.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from shards.durable import write_atomically, write_json_atomically
from shards.errors import ResumeError
from shards.input_files import load_json, load_yaml, read_text
from training.errors import RunError
from training.options import Config, PlainValue
from training.runs.checkpoints import checkpoint_path, checkpoint_steps
from training.runs.files import CONFIG, LAST
from training.runs.lock import LOCK


@dataclass(frozen=True)
class Last:
    """last.json: the newest checkpoint (relative to the run), its step and epoch, and whether the run is finished."""

    checkpoint: str
    step: int
    epoch: int
    finished: bool


@dataclass(frozen=True)
class RecordedRun:
    """A run that was started before, as its directory records it. config: its options under their names."""

    path: Path
    config: Config
    last: Last | None

    @property
    def threads(self) -> int | None:
        """Number of threads that the run was started with."""
        threads = self.config.get("threads")
        return threads if isinstance(threads, int) else None

    def differing(self, wanted: Config, free: frozenset[str]) -> dict[str, tuple[PlainValue, PlainValue]]:
        """List the options whose recorded value is not the wanted one, both values by name; those of `free` left out.

        free: options that may differ, since they change no weight.
        """
        keys = [*self.config, *(key for key in wanted if key not in self.config)]
        values = {key: (self.config.get(key), wanted.get(key)) for key in keys if key not in free}
        return {key: (recorded, asked) for key, (recorded, asked) in values.items() if recorded != asked}

    def refuse_other(self, wanted: Config, free: frozenset[str]) -> None:
        """Raise ResumeError naming each option that differs from the recorded one, with both values.

        free: options that may differ, since they change no weight.
        """
        differing = [
            f"--{key.replace('_', '-')}: the run has {_shown(recorded)}, asked for is {_shown(asked)}"
            for key, (recorded, asked) in self.differing(wanted, free).items()
        ]
        if differing:
            way_out = "" if checkpoint_steps(self.path) else " It has no checkpoint yet: the folder may be removed."
            raise ResumeError(
                f"{self.path} holds a run with other options, which this command cannot resume. "
                f"{'; '.join(differing)}. Give the run's own options (they are in {CONFIG}) or another --output."
                f"{way_out}"
            )


def read_run(run: Path, earlier: Config) -> RecordedRun | None:
    """Read what a run directory records, or None where no run was started. Raises RunError as the parts do.

    earlier: values of options that a run of an earlier release does not record.
    """
    config = read_config(run)
    return None if config is None else RecordedRun(run, {**earlier, **config}, read_last(run))


def read_last(run: Path) -> Last | None:
    """Read last.json of a run, or None before its first checkpoint. Raises RunError if it is not what it should be."""
    path = run / LAST
    if not path.is_file():
        return None
    try:
        return Last(**load_json(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} is not the record of a run's newest checkpoint: {error}.") from error


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
            config: object = load_yaml(read_text(path))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RunError(
                f"{path} is no YAML that can be read ({error}). Copy it again, or give another --output."
            ) from error
        if not isinstance(config, dict):
            raise RunError(f"{path} does not hold a run's options. Give another --output.")
        return cast(Config, config)
    if run.exists() and (not run.is_dir() or not all(_is_of_a_killed_beginning(entry) for entry in run.iterdir())):
        raise RunError(f"{run} is there and holds no {CONFIG}: it is not a run. Give another --output.")
    return None


def whole_option(run: Path, config: Config, key: str) -> int:
    """Look up an option of the config that is a whole number. Raises RunError naming file and key for anything else."""
    value = config.get(key)
    if not isinstance(value, int):
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
    return "nothing" if value is None else str(value)
