"""What a person can choose for pretraining, with the published defaults. Light: no torch, so that --help is quick."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PretrainOptions:
    """Options of `cxr-train pretrain`; the defaults are those of the published MoCo-CXR code (see recipes/), but for
    mask_same_image and batch_norm.

    image_size: side in pixels. batch_size, lr, queue_size: global. accumulate: batches a step. batch_norm: over the
    whole batch (none), or over bn_groups parts of it (split); None: as many as its size suggests. milestones: in
    epochs. decay_norms: weight decay on norms and biases too. mask_same_image: earlier keys of a query's own image are
    no negatives of it. force_queue: take a queue of more than half the images too. degrees, flip, scale, translate:
    what a view may be, as in `shards.loading.augmentation.ViewRange`.
    compile: the encoders, by torch.compile. threads: None
    takes the run's own, or as many as there are cores. log_every, checkpoint_every: steps; 0 checkpoints after epochs
    only. knn_label: whose AUROC by nearest neighbours is logged every knn_every epochs, over about knn_images images.
    stage_to: folder of the node that shards are copied to. time_limit: seconds that this start of the run may take.
    Both are of one start, and no part of the config. verify_checksums: of each image that is read.
    """

    shards: tuple[Path, ...]
    output: Path
    backbone: str = "resnet18"
    init: str = "imagenet"
    image_size: int = 320
    batch_size: int = 16
    accumulate: int = 1
    epochs: int = 20
    lr: float = 1e-4
    queue_size: int = 24576
    mask_same_image: bool = True
    force_queue: bool = False
    batch_norm: str = "split"
    bn_groups: int | None = None
    momentum: float = 0.999
    temperature: float = 0.2
    optimizer: str = "adam"
    weight_decay: float = 1e-4
    decay_norms: bool = True
    schedule: str = "step"
    milestones: tuple[int, ...] = (12, 18, 24)
    warmup_epochs: int = 0
    degrees: float = 10.0
    flip: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = 0.0
    device: str = "auto"
    precision: str = "fp32"
    compile: bool = False
    seed: int = 0
    threads: int | None = None
    log_every: int = 10
    checkpoint_every: int = 0
    knn_label: str | None = None
    knn_every: int = 1
    knn_images: int = 1024
    verify_checksums: bool = True
    stage_to: Path | None = None
    time_limit: float | None = None

    def resolved(self, *, device: str, threads: int) -> "PretrainOptions":
        """The same with what was left open filled in."""
        return replace(self, device=device, threads=threads)

    def as_config(self) -> dict[str, Any]:
        """Plain values under the options' names, as a recipe holds them."""
        values = asdict(self)
        del values["stage_to"], values["time_limit"]
        return values | {
            "shards": [str(path) for path in self.shards],
            "output": str(self.output),
            "milestones": list(self.milestones),
            "scale": list(self.scale),
        }
