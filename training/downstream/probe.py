"""Linear probe: logistic regression on the features of a frozen backbone, folded into a torchvision network.

Features are computed once a split and cached, so a study of many fractions and draws computes them once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from shards.format.subsets import select
from training.backbones.backbone import Backbone
from training.backbones.networks import backbone_weights, head_name
from training.downstream.embedding_cache import default_cache
from training.downstream.embeddings import Embeddings
from training.downstream.features import cached_features
from training.downstream.holdout import held_out
from training.downstream.model_directory import Results, auroc_by_split, save_model
from training.downstream.options import ProbeOptions
from training.downstream.start import Start, label_policy, training_rows, with_learnable_labels
from training.errors import TrainingError
from training.labels import PLAIN, Targets, targets
from training.processes.devices import available_threads, choose_device

STRENGTHS = tuple(10.0**power for power in range(-6, 3))
"""Values of C (inverse regularisation, of standardised features) that are tried."""
DEFAULT_STRENGTH = 1e-2
"""C where too few patients have the label for any of them to be held out."""
MAX_ITERATIONS = 2000
TOLERANCE = 1e-6
"""Largest component of the gradient at the end; scikit-learn's own 1e-4 leaves a weak regularisation unfinished."""

_CONSTANT = 10 * np.finfo(np.float32).eps
"""A feature whose spread is a smaller part of its mean is constant but for the rounding of float32."""

Features = npt.NDArray[np.float32]
Scaled = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LinearModel:
    """A logistic regression on raw features: logit = weight . x + bias. held_out: samples that C was chosen on."""

    weight: npt.NDArray[np.float64]
    bias: float
    strength: float
    held_out: int


@dataclass(frozen=True)
class Regularisation:
    """What model.json says of a label's regression. chosen_on: number of held-out samples, None for the default C."""

    C: float
    chosen_on: int | None


@dataclass(frozen=True)
class ProbeDetails:
    """What model.json says of a probe, by label."""

    regularisation: dict[str, Regularisation]


def probe(start: Start, options: ProbeOptions) -> Results:
    """Fit one logistic regression a label on a label fraction of the train split and write the model directory.

    Returns the results by label and split. Raises SubsetError for labels of which the fraction has one class only.
    """
    dataset, threads = start.dataset, options.threads or available_threads()
    cache, device = options.cache or default_cache(), choose_device(options.device)
    embedded = {
        split: cached_features(start.backbone, dataset, split, cache=cache, device=device, threads=threads)
        for split in ("train", "valid", "test")
        if len(select(dataset, split))
    }
    rows = training_rows(dataset, options)
    where = f"{dataset.name}, label fraction {options.label_fraction} of draw {options.draw} ({len(rows)} samples)"
    policy = label_policy(options)
    start = with_learnable_labels(start, options, targets(rows, start.labels, policy), where)
    labels = start.labels
    wanted = targets(rows, labels, policy)
    places = _places(rows, embedded["train"])
    with threadpool_limits(limits=threads):
        models = {
            label: fit(embedded["train"].features, places, wanted[:, column], rows, dataset.name)
            for column, label in enumerate(labels)
        }
    weight = np.stack([model.weight for model in models.values()])
    bias = np.array([model.bias for model in models.values()])
    found: dict[str, tuple[Targets, Targets] | None] = {"valid": None, "test": None}
    for split in found:
        if split in embedded:
            truth = targets(select(dataset, split), labels, PLAIN)
            found[split] = truth, embedded[split].features @ weight.T.astype(np.float32) + bias.astype(np.float32)
    results = auroc_by_split(labels, found)
    details = ProbeDetails(
        {label: Regularisation(model.strength, model.held_out or None) for label, model in models.items()}
    )
    weights = folded(start.backbone, weight, bias)
    save_model(start, options, weights, trained_on=rows, results=results, details=details)
    return results


def fit(features: Features, places: Places, target: Targets, rows: pd.DataFrame, name: str) -> LinearModel:
    """Fit a logistic regression on standardised features: C by the log loss of held-out patients, then on all rows.

    features: float32 [M, D]. places: int64 [N], which of them to learn from. target: [N], NaN left out. rows: [N], of
    samples.parquet. Memory: one float64 copy of the N features; in float32 L-BFGS stops where the loss no longer
    changes in its last digit, which may be far from the optimum.
    """
    known = ~np.isnan(target)
    places, target, rows = places[known], target[known], rows[known]
    apart = held_out(rows, name, pd.Series(target == 1, index=rows.index)).to_numpy()
    possible = all(len(np.unique(part)) == 2 for part in (target[apart], target[~apart]))
    held_out_last = np.argsort(apart, kind="stable")  # so that both parts are slices of one copy
    scaled, target = features[places[held_out_last]].astype(np.float64), target[held_out_last]
    centre, spread = _standardise(scaled)
    strength = _best_strength(scaled, target, int((~apart).sum())) if possible else DEFAULT_STRENGTH
    model = _regression(strength).fit(scaled, target)
    weight = model.coef_[0].astype(np.float64) / spread
    bias = float(model.intercept_[0] - weight @ centre)
    return LinearModel(weight, bias, strength, int(apart.sum()) if possible else 0)


def folded(backbone: Backbone, weight: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> dict[str, Tensor]:
    """Put the regressions into the backbone as its last linear layer. weight: [L, D]; bias: [L]."""
    head = head_name(backbone.architecture)
    return {
        **backbone_weights(backbone.network, backbone.architecture),
        f"{head}.weight": torch.tensor(weight, dtype=torch.float32),
        f"{head}.bias": torch.tensor(bias, dtype=torch.float32),
    }


def _standardise(features: Scaled) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centre and scale the columns in place; (mean, standard deviation), float64 [D], 1 of a constant column.

    Raises TrainingError for features that are not numbers.
    """
    centre = features.mean(axis=0)
    if not np.isfinite(centre).all():
        raise TrainingError("the backbone's features are not numbers: its weights are damaged. Take another backbone.")
    features -= centre
    spread = np.sqrt(np.einsum("nd,nd->d", features, features) / len(features))
    spread[spread <= _CONSTANT * np.abs(centre)] = 1.0
    features /= spread
    return centre, spread


def _best_strength(scaled: Scaled, target: Targets, fitted: int) -> float:
    """Choose the C with the least log loss on the rows after the first `fitted`, of a regression on those before."""
    model = _regression(STRENGTHS[0]).set_params(warm_start=True)
    losses = {}
    for strength in STRENGTHS:
        model.set_params(C=strength).fit(scaled[:fitted], target[:fitted])
        losses[strength] = log_loss(target[fitted:], model.predict_proba(scaled[fitted:])[:, 1], labels=[0, 1])
    return min(losses, key=lambda strength: losses[strength])


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, solver="lbfgs", tol=TOLERANCE)


def _places(rows: pd.DataFrame, embedded: Embeddings) -> Places:
    """Find the position of each row among the embeddings, int64 [N]."""
    places: Places = pd.Index(embedded.sample_id).get_indexer(pd.Index(rows["sample_id"])).astype(np.int64)
    if (places < 0).any():
        raise TrainingError(f"{int((places < 0).sum())} samples have no embedding: empty the cache and run again.")
    return places
