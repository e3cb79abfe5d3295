"""cxr-train pretrain as a person or Slurm runs it: processes, signals, exit statuses, recipes."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from recipes import recipe_command, shipped_recipes
from tests.training.pretraining.test_pretrain import assert_equal, final_state
from training.backbones.architectures import ARCHITECTURES
from training.cli.main import main
from training.cli.pretrain import pretrain as command
from training.pretraining.options import PretrainOptions
from training.pretraining.refusals import batch_norm_groups, mask_group, refuse_long_warmup
from training.runs.checkpoints import checkpoint_steps
from training.runs.directory import read_config, read_last
from training.runs.metrics_log import read_metrics

SMALL = [
    "--init=random",
    "--image-size=32",
    "--batch-size=8",
    "--epochs=3",
    "--queue-size=20",
    "--momentum=0.9",
    "--schedule=cosine",
    "--device=cpu",
    "--threads=1",
    "--log-every=1",
]

NOT_AS_PUBLISHED = {"mask_same_image": False, "batch_norm": "none"}
"""Where an option left out is not what was published: what was."""

PATIENCE_S = 300  # of a machine that does other work; a quiet one needs two


def arguments(shards: Path, output: Path, *more: str) -> list[str]:
    return ["pretrain", f"--shards={shards}", f"--output={output}", *SMALL, *more]


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def start(shards: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from training.cli.main import main; main()", *arguments(shards, output, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def send_after(process: subprocess.Popen[str], run: Path, lines: int, signal_number: signal.Signals) -> str:
    """Wait until the run has written some lines of metrics, send the signal, and return what the process said."""
    deadline = time.monotonic() + PATIENCE_S
    while len(read_metrics(run)) < lines:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal_number)
    return process.communicate(timeout=PATIENCE_S)[0]


@pytest.fixture(scope="module")
def undisturbed(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the same options that nobody stopped."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    result = invoke(*arguments(tiny_shards, output))
    assert result.exit_code == 0, result.output
    return output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_with_a_checkpoint_and_status_75_and_the_same_command_goes_on(
    number: signal.Signals, tiny_shards: Path, tmp_path: Path, undisturbed: Path
) -> None:
    run = tmp_path / "run"
    process = start(tiny_shards, run)
    output = send_after(process, run, 1, number)
    assert process.returncode == 75, output
    assert f"Stopped by {number.name} after step" in output
    assert "Run the same command again to resume" in output
    last = read_last(run)
    assert last is not None
    assert not last.finished
    assert (run / last.checkpoint).is_file()
    assert invoke(*arguments(tiny_shards, run)).exit_code == 0
    assert_equal(final_state(run), final_state(undisturbed))


def test_a_second_ctrl_c_ends_a_run_at_once_and_the_same_command_goes_on(
    tiny_shards: Path, tmp_path: Path, undisturbed: Path
) -> None:
    run = tmp_path / "run"
    process = start(tiny_shards, run)
    deadline = time.monotonic() + PATIENCE_S
    while len(read_metrics(run)) < 7:  # the first epoch's checkpoint is there
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    process.communicate()
    assert process.returncode == -signal.SIGINT
    assert invoke(*arguments(tiny_shards, run)).exit_code == 0
    assert_equal(final_state(run), final_state(undisturbed))


def test_a_run_has_no_helper_processes_that_a_signal_to_the_job_step_could_kill(
    tiny_shards: Path, tmp_path: Path
) -> None:
    """srun and scancel send a signal to every process of a step: helpers would have to ignore it."""
    run, children = tmp_path / "run", set()
    process = start(tiny_shards, run)
    while (lines := len(read_metrics(run))) < 3:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
        if not lines:
            continue  # libraries may ask the system something when they are loaded
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):  # a thread that has ended
                children.update((task / "children").read_text().split())
    process.kill()
    process.communicate()
    assert not children


def test_a_killed_run_goes_on_from_its_checkpoint(tiny_shards: Path, tmp_path: Path, undisturbed: Path) -> None:
    run = tmp_path / "run"
    process = start(tiny_shards, run)
    send_after(process, run, 8, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    steps = checkpoint_steps(run)
    assert steps
    assert f"resumes after step {steps[-1]} of 18" in invoke(*arguments(tiny_shards, run)).output
    assert_equal(final_state(run), final_state(undisturbed))


def test_a_refusal_is_one_message_and_status_1(tiny_shards: Path, undisturbed: Path) -> None:
    result = invoke(*arguments(tiny_shards, undisturbed, "--queue-size=21", "--lr=0.5"))
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "--lr: the run has 0.0001, asked for is 0.5" in result.output
    assert "--queue-size: the run has 20, asked for is 21" in result.output
    assert "Traceback" not in result.output


def test_missing_imagenet_weights_are_one_message_and_leave_no_run(
    tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    result = invoke(*arguments(tiny_shards, tmp_path / "run", "--init=imagenet"))
    assert result.exit_code == 1
    assert "resnet18-f37072fd.pth does not exist, and nothing is downloaded" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", ["--momentum=1", "--batch-size=1", "--lr=0", "--milestones=a,b", "--backbone=vgg"])
def test_values_that_make_no_sense_are_usage_errors(tmp_path: Path, flag: str) -> None:
    result = invoke(*arguments(tmp_path, tmp_path / "run", flag))
    assert result.exit_code == 2
    assert flag.split("=")[0] in result.output


def resolved(*args: str) -> dict[str, Any]:
    """The options that a command line comes to, without running it."""
    context = command.make_context("pretrain", ["--shards=a", "--output=b", *args])
    return {key: value for key, value in context.params.items() if key in PretrainOptions.__dataclass_fields__}


def test_an_option_left_out_has_the_value_of_the_options_class() -> None:
    assert PretrainOptions(**resolved()) == PretrainOptions(shards=(Path("a"),), output=Path("b"))


@pytest.mark.parametrize("architecture", ["resnet18", "densenet121"])
def test_the_published_recipe_spells_out_all_that_was_published_each_with_its_source(architecture: str) -> None:
    name = f"moco_cxr_{architecture}"
    assert resolved(f"--config={name}") == resolved(f"--backbone={architecture}") | NOT_AS_PUBLISHED
    lines = shipped_recipes()[name].read_text().splitlines()
    values = [line for line in lines if line and not line.startswith("#")]
    assert len(values) >= 12
    assert all(".sh" in line or ".py" in line for line in values)


def test_every_shipped_recipe_of_pretraining_is_one_that_the_command_takes_and_a_flag_beats_it() -> None:
    for name, path in shipped_recipes().items():
        if recipe_command(name) != "pretrain":
            continue
        assert set(yaml.safe_load(path.read_text())) <= {p.name for p in command.params}, name
        assert resolved(f"--config={name}", "--epochs=7")["epochs"] == 7


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_shipped_recipe_of_pretraining_takes_every_network(architecture: str) -> None:
    for name in shipped_recipes():
        if recipe_command(name) == "pretrain":
            options = PretrainOptions(**resolved(f"--config={name}", f"--backbone={architecture}"))
            options = options.resolved(device="cpu", threads=1)
            assert batch_norm_groups(options, options.batch_size) == 1
            assert mask_group(options) in ("image", None)
            refuse_long_warmup(options)


def test_the_config_of_a_run_is_a_recipe_that_repeats_it(undisturbed: Path) -> None:
    context = command.make_context("pretrain", [f"--config={undisturbed / 'config.yaml'}", "--output=again"])
    options = PretrainOptions(**{key: value for key, value in context.params.items() if "config" not in key})
    recorded = read_config(undisturbed)
    assert recorded is not None
    assert options.as_config() == {**recorded, "output": "again"}


def test_a_run_that_was_started_before_there_were_tone_curves_and_crops_is_resumed(
    undisturbed: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    later = {"crop_area", "gain", "offset", "gamma"}
    assert later <= set(config)
    (run / "config.yaml").write_text(yaml.safe_dump({k: v for k, v in config.items() if k not in later}))
    words = arguments(Path(config["shards"][0]), run)
    assert "Nothing is left to do" in invoke(*words).output
    refused = invoke(*words, "--gain", "0.8", "1.2", "--offset", "-20", "20")
    assert refused.exit_code == 1
    assert "--gain: the run has [1.0, 1.0], asked for is [0.8, 1.2]" in refused.output
    assert "--offset: the run has [0.0, 0.0], asked for is [-20.0, 20.0]" in refused.output


def test_an_unknown_key_in_a_recipe_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("epohcs: 3\n")
    with pytest.raises(click.BadParameter, match="epohcs"):
        resolved(f"--config={tmp_path / 'r.yaml'}")


def test_help_says_what_is_read_and_written_without_loading_torch() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom training.cli.main import main\n"
        "print(CliRunner().invoke(main, ['pretrain', '--help']).output)\n"
        "assert 'torch' not in sys.modules and 'nvidia.dali' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for word in ("Reads datasets", "Writes a run directory", "backbone.safetensors", "exit status 75", "--queue-size"):
        assert word in done.stdout
