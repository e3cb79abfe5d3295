import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.runs.metrics_log import MetricsLog, StepWindow, read_metrics


def write_steps(run: Path, start: int, steps: range) -> None:
    with MetricsLog(run, start=start) as log:
        for step in steps:
            log.write({"step": step, "loss": step / 7})


def test_lines_after_the_step_to_go_on_from_are_dropped_and_done_again(tmp_path: Path) -> None:
    write_steps(tmp_path, 0, range(1, 8))
    write_steps(tmp_path, 5, range(6, 10))
    assert read_metrics(tmp_path) == [{"step": step, "loss": step / 7} for step in range(1, 10)]


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    write_steps(tmp_path, 0, range(1, 4))
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "lo')
    write_steps(tmp_path, 3, range(4, 5))
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4]


def test_a_run_begun_anew_has_no_lines_of_before(tmp_path: Path) -> None:
    write_steps(tmp_path, 0, range(1, 4))
    write_steps(tmp_path, 0, range(1, 2))
    assert [line["step"] for line in read_metrics(tmp_path)] == [1]


def test_a_number_that_json_does_not_have_is_never_written(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, start=0) as log, pytest.raises(ValueError, match="JSON"):
        log.write({"step": 1, "loss": float("nan")})
    assert read_metrics(tmp_path) == []


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path: Path) -> None:
    write_steps(tmp_path, 0, range(1, 8))
    write_steps(tmp_path, 5, range(6, 10))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 10))


@given(losses=st.lists(st.floats(0, 20, width=32), min_size=1, max_size=12), cut=st.integers(0, 12))
def test_a_window_interrupted_and_taken_up_again_has_the_same_means(losses: list[float], cut: int) -> None:
    def figures(loss: float) -> dict[str, torch.Tensor]:
        return {"loss": torch.tensor(loss), "top1": torch.tensor(loss / 20)}

    whole, part = StepWindow(), StepWindow()
    for loss in losses:
        whole.add(figures(loss))
    for loss in losses[:cut]:
        part.add(figures(loss))
    resumed = StepWindow()
    resumed.load_state_dict(json.loads(json.dumps(part.state_dict())), torch.device("cpu"))
    for loss in losses[cut:]:
        resumed.add(figures(loss))
    assert resumed.means() == whole.means()
    assert resumed.means()["loss"] == pytest.approx(sum(losses) / len(losses))


def test_the_mean_is_over_the_steps_in_which_a_figure_is_finite() -> None:
    window = StepWindow()
    assert (window.means(), window.losses(), window.state_dict()) == ({}, [], {})
    for loss, norm in ((1.0, math.inf), (3.0, 5.0)):
        window.add({"loss": torch.tensor(loss), "norm": torch.tensor(norm), "never": torch.tensor(math.inf)})
    assert window.means() == {"loss": 2.0, "norm": 5.0}
