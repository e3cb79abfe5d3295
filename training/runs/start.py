"""Write and read what a run began with (start.safetensors): the start arm of a comparison with the run's own end.

The start has the run's preprocessing and image size, so that the two arms differ in the pretraining alone.
"""

from pathlib import Path

from torch import Tensor, nn

from shards.durable import write_atomically
from training.backbones.backbone import init_name, initial_backbone, untrained_provenance
from training.backbones.description import BackboneDescription
from training.backbones.networks import backbone_weights
from training.backbones.weight_files import read_weights, safetensors_bytes, weights_digest
from training.errors import RunError, WeightsError
from training.options import Config
from training.provenance import Provenance
from training.runs.directory import read_config, whole_option
from training.runs.files import BACKBONE, CONFIG, START_PATIENTS, START_WEIGHTS
from training.seen_patients import Seen, read_seen, write_seen


def write_start(run: Path, network: nn.Module, architecture: str, seen: Seen) -> None:
    """Write start.safetensors and start_patients.parquet of a run that begins. network: the encoder before step 0.

    seen: what its weights have seen.
    """
    with write_atomically(run / START_WEIGHTS) as file:
        file.write(safetensors_bytes(backbone_weights(network, architecture)))
    write_seen(run, seen, START_PATIENTS)


def start_digest(network: nn.Module, architecture: str) -> str:
    """SHA-256 of the encoder's weights without its head, as start.safetensors holds them."""
    return weights_digest(backbone_weights(network, architecture))


def read_start(run: Path, description: BackboneDescription) -> dict[str, Tensor]:
    """Read the weights that a run began with, or make them again where start.safetensors is not there.

    description: backbone.json. Raises RunError for a run that does not record its start (an earlier release, an
    import), or whose weights cannot be had with the recorded digest.
    """
    if description.start_digest is None:
        raise RunError(
            f"{run} does not record the weights that it began with: it was imported, or written by an earlier release. "
            "Take --at end, or name the initial weights themselves by --backbone-from."
        )
    path = run / START_WEIGHTS
    if path.is_file():
        weights, where = read_weights(path), str(path)
    else:
        weights, where = _made_again(run, description.architecture), f"what {run / CONFIG} gives"
    found = weights_digest(weights)
    if found != description.start_digest:
        raise WeightsError(
            f"{where} does not hold the weights that the run began with: its SHA-256 begins with {found[:12]}, "
            f"{BACKBONE} records {description.start_digest[:12]}. Copy {START_WEIGHTS} of the run again."
        )
    return weights


def moved_start(run: Path, recorded: Config, init: str, architecture: str) -> frozenset[str]:
    """The option `init`, where a run records another path but began with the very weights that this one names.

    recorded: config.yaml of the run. Weights may be moved, or named from another folder; empty where they are others or
    cannot be read.
    """
    start = run / START_WEIGHTS
    if recorded.get("init") in (init, None) or not (Path(init).is_file() and start.is_file()):
        return frozenset()
    try:
        began = weights_digest(read_weights(start))
        same = start_digest(initial_backbone(init, architecture, 0), architecture) == began
    except (WeightsError, OSError):
        return frozenset()
    return frozenset({"init"}) if same else frozenset()


def start_seen(run: Path, description: BackboneDescription) -> Seen:
    """Read what the initial weights of a run had seen. description: backbone.json."""
    if start_initial(description) != "file" and not (run / START_PATIENTS).is_file():
        return Seen()
    return read_seen(run, START_PATIENTS, start_provenance(description))


def start_provenance(description: BackboneDescription) -> Provenance:
    """Describe the start of a run: initial weights without any pretraining, and of which run they are the start."""
    seed = description.provenance.get("seed")
    initial = untrained_provenance(str(description.provenance.get("init")), seed or 0)
    return {**initial, "start_of": {"digest": description.digest, "seed": seed}}


def start_initial(description: BackboneDescription) -> str:
    """Name the kind of initial weights: random, imagenet or file."""
    name = init_name(str(description.provenance.get("init")))
    return name if name in ("random", "imagenet") else "file"


def _made_again(run: Path, architecture: str) -> dict[str, Tensor]:
    config = read_config(run)
    if config is None:
        raise RunError(f"{run} holds neither {START_WEIGHTS} nor {CONFIG}: copy the whole run again.")
    init = config.get("init")
    if not isinstance(init, str):
        raise RunError(f"{run / CONFIG} does not say which weights the run began with. Copy the whole run again.")
    network = initial_backbone(init, architecture, whole_option(run, config, "seed"))
    return backbone_weights(network, architecture)
