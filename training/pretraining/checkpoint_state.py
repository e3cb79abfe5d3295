"""Name the keys of a pretraining run's checkpoint, with their types; docs/run-directory.md says what each is for."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from torch import Tensor

from shards.errors import ResumeError
from training.backbones.description import BackboneJson
from training.runs.checkpoints import TrainingState, checkpoint_path, load_checkpoint, refuse_other_counts


class ScheduleState(TypedDict):
    """Learning rate of the next step. Written to be read by people: the rate is a function of the step."""

    lr: float


class TrainerState(TrainingState):
    """State of a trainer. moco: names and tensors of encoders and queue. window: figures since the last line."""

    moco: dict[str, Tensor]
    schedule: ScheduleState
    window: dict[str, list[float]]


class RunState(TrainerState):
    """State of a run: its trainer's, its loader's, the seconds trained, backbone.json so far, number of processes."""

    loader: Mapping[str, int | str]
    seconds: float
    backbone: BackboneJson
    processes: int


def load_run_state(run: Path, step: int) -> RunState:
    """Read the checkpoint of a step. Raises ResumeError as `load_checkpoint`, and naming keys that are missing."""
    state = load_checkpoint(run, step)
    missing = sorted(RunState.__required_keys__ - state.keys())
    if missing:
        raise ResumeError(
            f"{checkpoint_path(run, step)} is no checkpoint of `cxr-train pretrain`: the key {missing[0]} is missing. "
            "Put a copy of the run's own checkpoint back under this name."
        )
    refuse_other_counts(checkpoint_path(run, step), state)
    return cast(RunState, state)
