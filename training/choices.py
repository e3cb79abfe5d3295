"""What the options of the commands may be: devices, precisions, optimizers, schedules, BatchNorm, label policies.

No torch here, so that a command line can offer the choices at once. Backbones: `training.backbones.architectures`.
"""

from typing import Literal, get_args

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("fp32", "bf16", "fp16")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("step", "cosine", "constant")
FINETUNE_SCHEDULES = ("cosine", "constant")
"""Those of `SCHEDULES` that need no milestones."""

BATCH_NORMS = ("split", "none", "ema")

Group = Literal["image", "study", "patient"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""Images that belong together, from the narrowest to the widest: those of `shards.loading.positives`."""

AT = ("end", "start")
"""What is taken of a pretraining run: what it was trained to, or the weights that it began with."""

EXPORT_FORMATS = ("torchvision", "onnx", "hub")
"""What `cxr-train export` writes."""

FractionOf = Literal["patients", "images"]
FRACTION_OF: tuple[FractionOf, ...] = get_args(FractionOf)
"""What a label fraction is drawn from."""

Uncertain = Literal["ignore", "zeros", "ones"]
UNCERTAIN: tuple[Uncertain, ...] = get_args(Uncertain)
"""What an uncertain label (-1) means in training."""

Missing = Literal["ignore", "zeros"]
MISSING: tuple[Missing, ...] = get_args(Missing)
"""What a label that is not mentioned means in training."""
