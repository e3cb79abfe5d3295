"""Name the pretraining that models and predictions belong to: what has a row and a panel of its own in the report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shards.json_value import JsonValue

SHOWN = 3
"""Runs of one row that are named; more are counted."""


@dataclass(frozen=True, order=True)
class Pretraining:
    """A run, by the digest of its backbone, or by its seed where an earlier release recorded no more.

    seed: None where it is not known.
    """

    identity: str
    seed: int | None


def pretraining_of(described: JsonValue) -> Pretraining | None:
    """Which run a model (model.json) or its predictions (a sidecar) belong to; None where there was no pretraining.

    The start of a run belongs to that run. What another program pretrained is no run of `cxr-train pretrain`.
    """
    model = described.find("model") or described
    start = model.find("provenance", "start_of")
    if start is not None:
        digest, seed = start.find("digest"), _seed(start.find("seed"))
    elif initial_of(described) == "moco":
        digest, seed = described.find("backbone_digest"), _seed(model.find("provenance", "seed"))
    else:
        return None
    return Pretraining(_text(digest) or f"seed {seed}", seed)


def initial_of(described: JsonValue) -> str | None:
    """Find what a model started from: `moco`, `random`, `imagenet`, `file`, or the method of another program.

    A backbone that another program pretrained says so in its record, as `lightly-moco` does.
    """
    model = described.find("model") or described
    method = _text(model.find("provenance", "method"))
    elsewhere = was_pretrained(described) and method is not None and not method.startswith("moco-")
    return method if elsewhere else _text(model.find("initial"))


def was_pretrained(described: JsonValue) -> bool:
    """Tell whether a model began from the end of a pretraining without labels, of this project or of another."""
    return _text((described.find("model") or described).find("initial")) == "moco"


def backbone_of(described: JsonValue) -> str:
    """Find the architecture of a model or of the model that predicted; empty where it is not recorded."""
    model = described.find("model") or described
    return _text(described.find("architecture")) or _text(model.find("architecture")) or ""


def run_names(runs: Iterable[Pretraining], known: Mapping[str, str]) -> str:
    """Name runs, each once: by their folder where the report has it, else by seed. known: digest -> folder."""
    named = {known.get(run.identity, "unknown seed" if run.seed is None else f"seed {run.seed}") for run in runs}
    names = sorted(named)
    return ", ".join(names) if len(names) <= SHOWN else f"{len(names)} runs, {names[0]} to {names[-1]}"


def _seed(found: JsonValue | None) -> int | None:
    value = None if found is None else found.value
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(found: JsonValue | None) -> str | None:
    return None if found is None else str(found.value)
