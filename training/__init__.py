"""Pretrain backbones on shards, and train probes and whole networks on their labels.

Each function takes the dataclass that also builds its command's options, so that defaults and meanings are those of
`cxr-train`. `import training` loads no torch: names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from shards.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from training.backbones.architectures import ARCHITECTURES
    from training.backbones.backbone import Backbone
    from training.downstream.command import Fitted, finetune, probe
    from training.downstream.model_directory import Auroc, Model, load_model
    from training.downstream.options import FinetuneOptions, ProbeOptions
    from training.errors import RunError, TrainingError, WeightsError
    from training.pretraining.command import Outcome, pretrain
    from training.pretraining.options import PretrainOptions
    from training.runs.backbone_from import load_backbone
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "training.backbones.architectures": ("ARCHITECTURES",),
            "training.backbones.backbone": ("Backbone",),
            "training.downstream.command": ("Fitted", "finetune", "probe"),
            "training.downstream.model_directory": ("Auroc", "Model", "load_model"),
            "training.downstream.options": ("FinetuneOptions", "ProbeOptions"),
            "training.errors": ("RunError", "TrainingError", "WeightsError"),
            "training.pretraining.command": ("Outcome", "pretrain"),
            "training.pretraining.options": ("PretrainOptions",),
            "training.runs.backbone_from": ("load_backbone",),
        },
    )

__all__ = [
    "ARCHITECTURES",
    "Auroc",
    "Backbone",
    "FinetuneOptions",
    "Fitted",
    "Model",
    "Outcome",
    "PretrainOptions",
    "ProbeOptions",
    "RunError",
    "TrainingError",
    "WeightsError",
    "finetune",
    "load_backbone",
    "load_model",
    "pretrain",
    "probe",
]
