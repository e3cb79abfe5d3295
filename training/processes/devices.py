"""Choose the device, the number of threads and the floating-point format (autocast) of a command."""

import contextlib
import os

import torch

from shards.loading.placement import Device
from training.errors import TrainingError

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> Device:
    """Choose cpu or gpu; auto takes a GPU where torch sees one. Raises TrainingError for a GPU that is not there."""
    if name == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    if name == "gpu" and not torch.cuda.is_available():
        raise TrainingError(
            "torch sees no GPU here: check the driver (nvidia-smi) and that the job asked for one, "
            "or give --device cpu."
        )
    return "gpu" if name == "gpu" else "cpu"


def torch_device(name: str) -> torch.device:
    """Return torch's device for cpu or gpu: the process' current one, which is the first that it may see unless set."""
    return torch.device("cuda", torch.cuda.current_device()) if name == "gpu" else torch.device("cpu")


def available_threads() -> int:
    """Count the cores that this process may use: what Slurm or a container grants, not what the machine has."""
    return len(os.sched_getaffinity(0))


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return torch's autocast for bf16 and fp16; nothing for fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_AUTOCAST[precision])
