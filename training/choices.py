"""What the options of the commands may be: devices, precisions, optimizers, schedules, BatchNorm, label policies.

No torch here, so that a command line can offer the choices at once. Backbones: `training.backbones.architectures`.
"""

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("fp32", "bf16", "fp16")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("step", "cosine", "constant")
BATCH_NORMS = ("split", "none")

UNCERTAIN = ("ignore", "zeros", "ones")
"""What an uncertain label (-1) means in training."""

MISSING = ("ignore", "zeros")
"""What a label that is not mentioned means in training."""
