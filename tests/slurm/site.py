"""A study of a minute for tests on Slurm: its study file, its site file, and submitting it as a user does."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.slurm.cluster import PATIENCE_S, Cluster

ROOT = Path(__file__).parents[2]
BUILD = (
    "--name",
    "phantom",
    "--short-side",
    "64",
    "--samples-per-shard",
    "16",
    "--valid-fraction",
    "0.2",
    "--test-fraction",
    "0.3",
)
EPOCHS, BATCH = 4, 4
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}

STUDY: dict[str, Any] = {
    "study_version": 1,
    "name": "minute",
    "datasets": {"chexpert": {"shards": "shards of phantoms", "splits": {"train": None, "valid": None, "test": None}}},
    "pretraining": {
        "tiny": {
            **{
                "recipe": "moco_small_cpu",
                "shards": ["chexpert"],
                "image_size": 64,
                "epochs": EPOCHS,
                "batch_size": BATCH,
            },
            **{"queue_size": 12, "log_every": 1},
        }
    },
    "arms": {"start": {"at": "start"}, "moco": {"at": "end"}},
    "reference": "start",
    "methods": {"probe": {}, "finetune": {"epochs": 6, "min_steps": 4, "batch_size": 4}},
    "targets": [{"name": "effusion", "dataset": "chexpert", "labels": ["Pleural Effusion"], "fractions": [1.0]}],
    "evaluation": {"replicates": 400, "family": ["method"]},
}
"""4 cells."""

# Slurm counts processors that are not there; two of these run at once on the two cores of a small machine. Fields that
# need care on their way: a list of several lines, a path with a space, an asterisk.
# The time limit is far away: USR1 comes five minutes before it.
SITE = """\
flags=(
  --mem=2G
  --time=120
  --comment='all of * and "this"'
)
cpu_flags=(--cpus-per-task=1)
gpu_flags=(--cpus-per-task=1 --gres=gpu:1)
prepare() {{ PATH={bin}:$PATH; }}
run_in=()
stage_to=
data={data}
build_chexpert() {{ build {source} --dataset chexpert {options}; }}
build_tasks=2
sweep_tasks=3
"""


def write_files(folder: Path, source: Path) -> tuple[Path, Path]:
    """Write the study file and the site file into a folder, which is --data too; (study, site)."""
    study, site = folder / "minute.yaml", folder / "site of tests.env"
    study.write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")
    quoted = {"bin": Path(sys.executable).parent, "data": folder, "source": source}
    site.write_text(
        SITE.format(**{name: f"'{path}'" for name, path in quoted.items()}, options=" ".join(BUILD)), encoding="utf-8"
    )
    return study, site


def submit_study(cluster: Cluster, study: Path, site: Path, output: Path, *words: str) -> str:
    """`slurm/submit-study.sh` as a user calls it, from the repository's root; what it says."""
    command = ["slurm/submit-study.sh", str(study), "--output", str(output), "--site", str(site), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs_of(said: str) -> dict[str, str]:
    """Find the job ids by stage in the output of submit-study.sh."""
    return dict(re.findall(r"^(\S+): job (\d+)", said, re.MULTILINE))


def logs(output: Path) -> str:
    """The ends of all logs."""
    return "\n".join(f"== {path.name}\n{path.read_text()[-20000:]}" for path in sorted((output / "logs").iterdir()))
