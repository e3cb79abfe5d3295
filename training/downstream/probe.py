"""Linear probe: logistic regression on the features of a frozen backbone, folded into a torchvision network.

Features are computed once a split and cached, so a study of many fractions and draws computes them once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from shards.format.subsets import select
from training.backbones.backbone import Backbone
from training.backbones.networks import backbone_weights, head_name
from training.downstream.embedding_cache import default_cache
from training.downstream.embeddings import Embeddings
from training.downstream.features import FeatureSource, cached_features
from training.downstream.model_directory import Results, auroc_by_split, save_model
from training.downstream.options import ProbeOptions
from training.downstream.start import Start, label_policy, training_rows, with_learnable_labels
from training.errors import TrainingError
from training.labels import PLAIN, Targets, targets
from training.processes.devices import available_threads, choose_device
from training.regression.many_labels import fit_labels
from training.regression.one_label import ChosenBy, Places


@dataclass(frozen=True)
class Regularisation:
    """What model.json says of a label's regression.

    chosen_by: cross-validation, hold-out, or default where no patient could be held out. chosen_on: number of held-out
    samples, None for the default C. folds: None where there are none.
    """

    C: float
    chosen_on: int | None
    chosen_by: ChosenBy
    folds: int | None


@dataclass(frozen=True)
class ProbeDetails:
    """What model.json says of a probe, by label. selected_on: what was selected, and on which split."""

    regularisation: dict[str, Regularisation]
    selected_on: dict[str, str]


def probe(start: Start, options: ProbeOptions, features: FeatureSource = cached_features) -> Results:
    """Fit one logistic regression a label on a label fraction of the train split and write the model directory.

    features: where embeddings come from; a study keeps those of earlier probes in memory. Returns the results by label
    and split. Raises SubsetError for labels of which the fraction has one class only.
    """
    dataset, threads = start.dataset, options.threads or available_threads()
    cache, device = options.cache or default_cache(), choose_device(options.device)
    embedded = {
        split: features(start.backbone, dataset, split, cache=cache, device=device, threads=threads)
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
        fitted = fit_labels(embedded["train"].features, places, wanted, rows, dataset.name)
    models = dict(zip(labels, fitted, strict=True))
    weight = np.stack([model.weight for model in models.values()])
    bias = np.array([model.bias for model in models.values()])
    found: dict[str, tuple[Targets, Targets] | None] = {"valid": None, "test": None}
    for split in found:
        if split in embedded:
            truth = targets(select(dataset, split), labels, PLAIN)
            found[split] = truth, embedded[split].features @ weight.T.astype(np.float32) + bias.astype(np.float32)
    results = auroc_by_split(labels, found)
    details = ProbeDetails(
        {
            label: Regularisation(model.strength, model.chosen_on or None, model.chosen_by, model.folds or None)
            for label, model in models.items()
        },
        selected_on={"C": "train"},
    )
    weights = folded(start.backbone, weight, bias)
    save_model(start, options, weights, trained_on=rows, results=results, details=details)
    return results


def folded(backbone: Backbone, weight: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> dict[str, Tensor]:
    """Put the regressions into the backbone as its last linear layer. weight: [L, D]; bias: [L]."""
    head = head_name(backbone.architecture)
    return {
        **backbone_weights(backbone.network, backbone.architecture),
        f"{head}.weight": torch.tensor(weight, dtype=torch.float32),
        f"{head}.bias": torch.tensor(bias, dtype=torch.float32),
    }


def _places(rows: pd.DataFrame, embedded: Embeddings) -> Places:
    """Find the position of each row among the embeddings, int64 [N]."""
    places: Places = pd.Index(embedded.sample_id).get_indexer(pd.Index(rows["sample_id"])).astype(np.int64)
    if (places < 0).any():
        raise TrainingError(f"{int((places < 0).sum())} samples have no embedding: empty the cache and run again.")
    return places
