"""Take the steps of MoCo pretraining: networks, queue, optimizer, gradient scaler, the open window of metrics.

The state of a trainer is what a checkpoint holds. A new trainer continues from it, bit for bit on a CPU.
"""

import math
from collections.abc import Iterable, Sequence

import google_crc32c
import torch
from torch import Tensor

from shards.loading.loaders import TwoViewBatch
from training.backbones.networks import images_to_input, on_device
from training.errors import TrainingError
from training.moco.batch_norm import running_statistics, set_statistics
from training.moco.health import NEWEST, gradient_norm, momentum_distance, of_logits, spread
from training.moco.key_exchange import keys_to_encode, own_share, whole_batch
from training.moco.model import MoCo, info_nce_loss
from training.optimizers import build_optimizer
from training.pretraining.checkpoint_state import TrainerState
from training.pretraining.options import PretrainOptions
from training.processes.devices import autocast, torch_device
from training.processes.ranks import Ranks
from training.runs.metrics_log import StepWindow
from training.schedules import learning_rate

STATISTICS_BATCHES = 32
"""Batches, at most an epoch, that set the statistics of `--batch-norm ema` before step 0."""


def statistics_batches(steps_per_epoch: int) -> int:
    """Number of batches that a run of so many steps an epoch sets its BatchNorm statistics by."""
    return min(STATISTICS_BATCHES, steps_per_epoch)


class Trainer:
    """State: `moco`, `optimizer`, `scaler`, `window`, `steps` (done so far) and the random state of torch.

    The learning rate is a function of `steps`, so it needs no state.
    """

    def __init__(
        self,
        moco: MoCo,
        options: PretrainOptions,
        *,
        mean: float,
        std: float,
        steps_per_epoch: int,
        ranks: Ranks | None = None,
    ) -> None:
        """options: resolved. mean, std: of the pixels, 0..255. ranks: whose trainers take each step together."""
        self.device = torch_device(options.device)
        self._ranks = ranks or Ranks.alone()
        self.moco = moco.train()
        on_device(self.moco, self.device)
        self.optimizer = build_optimizer(
            options.optimizer,
            moco.query_encoder.parameters(),
            options.lr,
            options.weight_decay,
            decay_norms=options.decay_norms,
            fused=self.device.type == "cuda",
        )
        if options.compile:  # in place: the names of parameters stay
            moco.query_encoder.compile()
            moco.key_encoder.compile()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=options.precision == "fp16")
        self.window = StepWindow()
        self.steps = 0
        self.steps_per_epoch = steps_per_epoch
        self._options, self._mean, self._std = options, mean, std

    @property
    def epochs(self) -> int:
        """Number of epochs that are done."""
        return self.steps // self.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Compute the learning rate of step 0, 1, ... of this run."""
        return learning_rate(
            step,
            schedule=self._options.schedule,
            lr=self._options.lr,
            milestones=self._options.milestones,
            epochs=self._options.epochs,
            steps_per_epoch=self.steps_per_epoch,
            warmup_epochs=self._options.warmup_epochs,
        )

    def step(self, batch: TwoViewBatch) -> None:
        """One step of MoCo v2 (He et al. 2020, algorithm 1). Does not wait for the device, except to scale fp16.

        batch: this rank's part of the step's images, every world_size-th. It passes in `accumulate` equal parts, whose
        gradients are added up and which meet the same queue: keys are enqueued, and the key encoder moves, once a step.
        After it the state is the same on all ranks.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.steps)
        mask_ids = batch.sample_id if batch.group_id is None else batch.group_id
        sample_ids = mask_ids.to(self.device, non_blocking=True)
        self.moco.update_key_encoder()
        self.optimizer.zero_grad(set_to_none=True)
        count = self._options.accumulate
        keys, figures = zip(
            *[self._add_gradient(*part) for part in zip(*_parts(batch, sample_ids, count), strict=True)], strict=True
        )
        means = {name: torch.stack([part[name] for part in figures]).mean() for name in figures[0]}
        # With `ema` the key encoder's statistics follow the averaged ones, and so are the same on all ranks already.
        statistics = running_statistics(self.moco.query_encoder if self.moco.settings.ema else self.moco)
        self._ranks.average([*self._gradients(), *statistics, *means.values()])
        self.scaler.unscale_(self.optimizer)
        norm = gradient_norm(self.moco.query_encoder.parameters())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        # After backward: it still needs the queue that the logits were computed with.
        self.moco.queue.enqueue(torch.cat(keys), whole_batch(self._ranks, sample_ids))
        self.window.add(means | {"gradient_norm": norm})
        self.steps += 1

    def set_statistics(self, batches: Iterable[TwoViewBatch]) -> int:
        """Set the BatchNorm statistics of both encoders to those of the query views of these batches, before step 0.

        Eval mode needs them: the first keys of a random start would be normalised by a mean of 0 and a deviation of 1,
        those of an ImageNet start by ImageNet's. Over ranks they are averaged. Returns the number of passes.
        """
        count = self._options.accumulate
        parts = (part for batch in batches for part in zip(*_parts(batch, batch.sample_id, count), strict=True))
        views = (
            images_to_input(query.to(self.device), self._mean, self._std, tones) for query, _, _, tones, _ in parts
        )
        with autocast(self.device, self._options.precision):
            done = set_statistics(self.moco.query_encoder, views, self.moco.queries)
        statistics = running_statistics(self.moco.query_encoder)
        self._ranks.average(statistics)
        for own, value in zip(running_statistics(self.moco.key_encoder), statistics, strict=True):
            own.copy_(value)
        return done

    def health(self) -> dict[str, float]:
        """Measure the encoders after the step just done; waits for the device, so for lines of metrics only."""
        encoders = self.moco.key_encoder.parameters(), self.moco.query_encoder.parameters()
        return spread(self.moco.queue.newest(NEWEST)) | {"momentum_distance": momentum_distance(*encoders)}

    def _add_gradient(
        self, query: Tensor, key: Tensor, sample_ids: Tensor, query_tones: Tensor | None, key_tones: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Add one part's gradient to that of the step.

        query, key: uint8 [n, 1, H, W], on any device, this rank's part of N images. sample_ids: int64 [n], on the
        trainer's. query_tones, key_tones: see TwoViewBatch. Returns the keys of all N [N, D], and the figures of its
        own n, scalars without gradient.
        """
        ranks = self._ranks
        others_keys = keys_to_encode(ranks, key.to(self.device, non_blocking=True))
        if key_tones is not None:
            key_tones = keys_to_encode(ranks, key_tones.to(self.device, non_blocking=True))
        query_images = images_to_input(query.to(self.device, non_blocking=True), self._mean, self._std, query_tones)
        key_images = images_to_input(others_keys, self._mean, self._std, key_tones)
        with autocast(self.device, self._options.precision):
            queries = self.moco.queries(query_images)
            keys = ranks.gather(self.moco.keys(key_images)).flatten(0, 1)
        logits = self.moco.logits(queries, own_share(ranks, keys), sample_ids)
        loss = info_nce_loss(logits)
        self.scaler.scale(loss / self._options.accumulate).backward()  # type: ignore[no-untyped-call]
        return keys, {"loss": loss.detach(), **of_logits(logits.detach(), self._options.temperature)}

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.moco.query_encoder.parameters() if parameter.grad is not None]

    def checksum(self) -> str:
        """crc32c of encoders and queue, in eight hexadecimal digits."""
        found = 0
        for value in self.moco.state_dict().values():
            found = google_crc32c.extend(found, value.detach().cpu().contiguous().numpy().tobytes())
        return f"{found:08x}"

    def refuse_lost_loss(self) -> None:
        """Raise TrainingError if a loss since the last line of metrics is not a finite number; names its step."""
        losses = self.window.losses()
        for step, loss in enumerate(losses, start=self.steps - len(losses) + 1):
            if not math.isfinite(loss):
                raise _diverged(f"The loss is {loss} at step {step}")

    def refuse_lost_weights(self) -> None:
        """Raise TrainingError if a weight, a statistic or a key in the queue is not a finite number."""
        if not torch.stack([value.isfinite().all() for value in self.moco.state_dict().values()]).all():
            raise _diverged(f"A weight is not a finite number after step {self.steps}")

    def state_dict(self) -> TrainerState:
        """Collect what a checkpoint needs of the trainer.

        The tensors are the live ones: write them before the next step.
        """
        return {
            "step": self.steps,
            "epoch": self.epochs,
            "threads": torch.get_num_threads(),
            "moco": self.moco.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "schedule": {"lr": self.learning_rate(self.steps)},
            "window": self.window.state_dict(),
            "rng": {
                "cpu": torch.get_rng_state(),
                "cuda": [torch.cuda.get_rng_state()] if self.device.type == "cuda" else [],
            },
        }

    def load_state_dict(self, state: TrainerState) -> None:
        """Continue where `state` was taken; threads too, since another number of them gives other bits."""
        torch.set_num_threads(state["threads"])
        self.moco.load_state_dict(state["moco"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.window.load_state_dict(state["window"], self.device)
        self.steps = state["step"]
        torch.set_rng_state(state["rng"]["cpu"])
        for generator in state["rng"]["cuda"]:
            torch.cuda.set_rng_state(generator)


def _parts(batch: TwoViewBatch, sample_ids: Tensor, count: int) -> list[Sequence[Tensor] | Sequence[None]]:
    """Cut each tensor of a step's batch into `count` equal parts; None where the views have no tone curves."""
    tensors = (batch.query, batch.key, sample_ids, batch.query_tones, batch.key_tones)
    return [[None] * count if tensor is None else tensor.chunk(count) for tensor in tensors]


def _diverged(what: str) -> TrainingError:
    return TrainingError(
        f"{what}: training has diverged and stops here, without a checkpoint of it. "
        "Start a new --output with a smaller --lr, or with --precision bf16 or fp32."
    )
