"""A small labelled dataset, and models made from it by the real commands: what downstream tests begin with."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from click.testing import CliRunner, Result

from shards.format.dataset import Dataset, open_dataset
from shards.format.shard_writer import shard_split
from tests.shards.small_datasets import LABELS, jpeg_of, smooth_image
from tests.shards.small_datasets import write_small_dataset as write_shards
from training.cli.main import main as cxr_train

__all__ = ["BACKBONE", "LABELS", "SHARDS", "TUNED", "make_model", "run", "write_labelled_dataset"]

SHARDS = {"train-000000": 29, "train-000001": 12, "valid-000000": 17, "test-000000": 11}
"""Samples a shard: 14 train patients, 6 valid ones, 4 test ones."""
BACKBONE = ("--backbone-from", "random", "--image-size", 32, "--device", "cpu", "--threads", 1)
TUNED = ("--labels", LABELS[0], "--epochs", 2, "--min-steps", 3, "--batch-size", 8, "--lr", 1e-3)
"""Options of the fine-tuning that the fixture `tuned` holds, besides those of its backbone."""
_EDEMA = (1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 1.0, None)
_EFFUSION = (0.0, 1.0, None, 0.0, 1.0)


def write_labelled_dataset(
    root: Path, *, name: str = "labelled", shards: Mapping[str, int] | None = None, size: int = 40
) -> Dataset:
    """Patients of three images in two studies; Edema shows as brightness, Pleural Effusion does not show at all.

    Both are uncertain or missing in some patients.
    """
    changes, jpegs, patient, of_split = {}, {}, -1, Counter[str]()
    for number, split in enumerate(shard_split(shard) for shard, n in (shards or SHARDS).items() for _ in range(n)):
        within = of_split[split]
        of_split[split] += 1
        if within % 3 == 0:
            patient += 1
        edema, effusion = _EDEMA[patient % len(_EDEMA)], _EFFUSION[patient % len(_EFFUSION)]
        changes[number] = {
            "key": f"patient{patient:05d}_study{1 + within % 3 // 2}_view{within % 3}",
            "patient_id": f"patient{patient:05d}",
            "study_id": f"study{1 + within % 3 // 2}",
            LABELS[0]: edema,
            LABELS[1]: effusion,
        }
        jpegs[number] = jpeg_of(_picture(size + number % 5, size + number % 3, number, edema == 1))
    return open_dataset(write_shards(root, name=name, shards=shards or SHARDS, changes=changes, jpegs=jpegs))


def run(*words: object) -> Result:
    """`cxr-train` with these words, in this process."""
    return CliRunner().invoke(cxr_train, [str(word) for word in words])


def make_model(method: str, shards: Path, output: Path, *words: object) -> Path:
    """`cxr-train METHOD` on the shards, into `output`, which is returned."""
    result = run(method, "--shards", shards, "--output", output, *words)
    assert result.exit_code == 0, result.output
    return output


def _picture(height: int, width: int, seed: int, bright: bool) -> npt.NDArray[np.uint8]:
    picture: npt.NDArray[np.uint8] = (smooth_image(height, width, seed) // 3 + (110 if bright else 30)).astype(np.uint8)
    return picture
