"""Write the model card of a backbone: README.md with YAML front matter, as model hubs show it.

It says what is known of data, licence, training, views and results, and where something is not known it says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from training.backbones.backbone import Backbone
from training.options import Config
from training.publishing.snippets import preprocessing_snippet, timm_snippet, torchvision_snippet
from training.publishing.study_results import Gain

_VIEWS = {
    "degrees": "rotation, degrees either way",
    "flip": "mirrored half of the time",
    "scale": "zoom",
    "translate": "shift, fraction of the side",
    "crop_area": "area of the crop, fraction of the largest square",
    "gain": "contrast, factor about mid-gray",
    "offset": "brightness, gray levels",
    "gamma": "gamma",
    "positives": "image of the key view",
}
_SETTINGS = ("batch_size", "accumulate", "optimizer", "lr", "schedule", "warmup_epochs", "weight_decay")
_METHOD = ("queue_size", "momentum", "temperature", "batch_norm", "mask", "mask_same_image", "precision", "seed")

LIMITS = """\
- It is no medical device. Nothing here was tested for diagnosis, and features of a radiograph are no finding.
- It was pretrained on the images of the datasets above: other scanners, countries, age groups, projections and marks
  may look like nothing that it has seen. Measure on your own patients before you rely on it.
- Self-supervised features can hold what is no anatomy: exposure, the hospital's processing, tubes and markers.
- What a probe gains with few labels depends on the labels drawn; compare over several draws, and test on patients that
  the weights have not seen. Which patients they have seen is not published here; ask the authors if you have the data.
- The licence of the data may bind what the weights may be used for: read it before you pass them on.
"""


@dataclass(frozen=True)
class TrainedOn:
    """A dataset of the pretraining. licence, images, patients: None where the dataset is not at hand."""

    name: str
    digest: str
    licence: str | None = None
    images: int | None = None
    patients: int | None = None


def model_card(
    backbone: Backbone,
    *,
    weights: str,
    config: Config | None,
    datasets: Sequence[TrainedOn],
    gains: Sequence[Gain],
    licence: str,
) -> str:
    """Make README.md. weights: name of the file beside it. config: options of the run, None for an import."""
    name = backbone.architecture
    parts = [
        _front_matter(name, licence),
        f"# {name}, pretrained on chest radiographs\n\n{_what(backbone)}\n",
        f"## Load it\n\ntorchvision, strictly:\n\n{_python(torchvision_snippet(name, weights))}\n"
        f"{_timm(name, weights)}"
        f"Then the features of an image:\n\n{_python(preprocessing_snippet())}",
        f"## Data\n\n{_data(datasets)}",
        f"## Training\n\n{_training(backbone, config)}",
        f"## Results\n\n{_results(gains)}",
        f"## Limits\n\n{LIMITS}",
    ]
    return "\n".join(parts)


def _timm(name: str, weights: str) -> str:
    snippet = timm_snippet(name, weights)
    return "timm has no such network.\n\n" if snippet is None else f"timm:\n\n{_python(snippet)}\n"


def _front_matter(name: str, licence: str) -> str:
    content = {
        "license": licence,
        "library_name": "timm",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["chest-radiograph", "self-supervised", "moco", name, "torchvision", "safetensors"],
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---\n"


def _what(backbone: Backbone) -> str:
    features, method = backbone.architecture, backbone.provenance.get("method", "not recorded")
    return (
        f"A {features} without its head, pretrained without labels (method: {method}). It takes gray radiographs of "
        f"{backbone.image_size} x {backbone.image_size} pixels, shown to all three channels, and gives a vector of "
        "features. `config.json` has the preprocessing and where the weights come from."
    )


def _python(code: str) -> str:
    return f"```python\n{code}```\n"


def _data(datasets: Sequence[TrainedOn]) -> str:
    if not datasets:
        return "It is not recorded what the weights were trained on.\n"
    rows = [
        [one.name, _known(one.images), _known(one.patients), one.licence or "not known here", f"`{one.digest[:12]}`"]
        for one in datasets
    ]
    return _table(["dataset (train split)", "images", "patients", "licence of the data", "digest"], rows)


def _training(backbone: Backbone, config: Config | None) -> str:
    provenance = backbone.provenance
    rows = [
        ["initial weights", str(provenance.get("init") or "not recorded")],
        ["epochs", _known(provenance.get("epochs"))],
        ["steps", _known(provenance.get("steps"))],
    ]
    if config is None:
        return _table(["", ""], rows) + "\nThe options and views of the training are not recorded.\n"
    rows += [
        [name.replace("_", " "), str(config[name])] for name in (*_SETTINGS, *_METHOD) if config.get(name) is not None
    ]
    rows += [[f"views: {what}", _plain(config[name])] for name, what in _VIEWS.items() if name in config]
    return _table(["", ""], rows)


def _results(gains: Sequence[Gain]) -> str:
    if not gains:
        return "No study was given with this export.\n"
    rows = [
        [
            one.target,
            one.label,
            one.fraction,
            one.method,
            one.value.text(),
            f"{one.reference}: {one.reference_value.text()}",
            one.gain.text(),
            str(one.draws),
            str(one.seeds),
        ]
        for one in gains
    ]
    head = ["target", "label", "label fraction", "method", "AUROC", "reference", "gain", "draws", "seeds"]
    said = "AUROC on the test split with 95 % intervals, and the gain over a reference arm of the study."
    if any(one.seeds > 1 for one in gains):
        said += " Values are means over runs of several seeds, of which this backbone is one."
    return f"{said}\n\n{_table(head, rows)}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _known(number: int | None) -> str:
    return "not known here" if number is None else f"{number:,}"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " to ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
