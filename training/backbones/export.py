"""Export a backbone for other programs: safetensors, ONNX, and a description of its preprocessing.

Nothing is written where ONNX would not compute the same features as torch.
"""

import logging
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from shards.durable import write_atomically, write_json_atomically
from shards.loading.augmentation import ANTIALIAS_BELOW
from training.backbones.backbone import PREPROCESSING, Backbone
from training.backbones.networks import backbone_weights, feature_dimension, per_channel
from training.backbones.weight_files import safetensors_bytes
from training.errors import WeightsError
from training.folders import refuse_filled, written_whole
from training.seen_patients import IMAGES, PATIENTS, write_seen

FORMATS = ("torchvision", "onnx")
SAFETENSORS, ONNX = "backbone.safetensors", "backbone.onnx"
FILES = (SAFETENSORS, ONNX, PATIENTS, IMAGES, PREPROCESSING)
FORMAT_VERSION = 1
TOLERANCE = 1e-4
"""Largest difference of a feature between onnxruntime and torch, both in float32 on the CPU."""

_CHECKED_BATCHES = (1, 3)  # neither is the two that the graph is traced with


def export_backbone(
    backbone: Backbone, folder: Path, formats: Collection[str], *, with_patients: bool = False
) -> float | None:
    """Write the formats and, last, preprocessing.json into a new folder.

    with_patients: also the lists of patients and images that the weights have seen, by which later commands find
    leakage; without them no patient is named in the folder.
    Returns the largest difference that was found between ONNX and torch; None where no ONNX was asked for. Raises
    RunError for a folder that holds something, WeightsError where the difference is more than TOLERANCE.
    """
    refuse_filled(folder, FILES)
    contents, difference = {}, None
    if "torchvision" in formats:
        contents[SAFETENSORS] = safetensors_bytes(backbone_weights(backbone.network, backbone.architecture))
    if "onnx" in formats:
        contents[ONNX] = to_onnx(backbone.network, backbone.image_size)
        difference = onnx_difference(contents[ONNX], backbone.network, backbone.image_size)
        if not difference <= TOLERANCE:  # NaN is not
            raise WeightsError(
                f"onnxruntime {onnxruntime.__version__} gives features that differ from torch's by {difference:.1e}, "
                f"more than {TOLERANCE:.0e}: nothing is written. --format torchvision writes the weights alone."
            )
    with written_whole(folder, FILES):
        for name, content in contents.items():
            with write_atomically(folder / name) as file:
                file.write(content)
        if with_patients:
            write_seen(folder, backbone.seen)
        write_json_atomically(folder / PREPROCESSING, preprocessing(backbone, difference))
    return difference


def preprocessing(backbone: Backbone, onnx_difference: float | None) -> Mapping[str, Any]:
    """Describe the way from a gray radiograph to the network's input, in the order of its keys: preprocessing.json."""
    size = backbone.image_size
    return {
        "format_version": FORMAT_VERSION,
        "architecture": backbone.architecture,
        "image_size": size,
        "resize": {
            "short_side": size,
            "keep_aspect_ratio": True,
            "interpolation": "bilinear",
            "antialias_where_scale_is_below": ANTIALIAS_BELOW,
        },
        "crop": {"where": "centre", "height": size, "width": size},
        "pixels": "gray levels divided by 255, 0 black",
        "channels": 3,
        "channels_from": "the one gray channel, three times",
        "mean": [level / 255 for level in per_channel(backbone.mean)],
        "std": [level / 255 for level in per_channel(backbone.std)],
        "mean_in_gray_levels": per_channel(backbone.mean),
        "std_in_gray_levels": per_channel(backbone.std),
        "input": {"name": "images", "dtype": "float32", "shape": ["batch", 3, size, size]},
        "output": {
            "name": "features",
            "dtype": "float32",
            "shape": ["batch", feature_dimension(backbone.architecture)],
        },
        "onnx_difference": onnx_difference,
        "provenance": backbone.provenance,
        "digest": backbone.digest,
    }


def to_onnx(network: nn.Module, image_size: int) -> bytes:
    """Convert the network, in eval mode, to ONNX: images float32 [batch, 3, image_size, image_size] -> [batch, D]."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = torch.zeros(2, 3, image_size, image_size)
    with warnings.catch_warnings():
        # torch itself uses what it deprecates; a user cannot change that.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None  # it is None only for the old exporter
    content: bytes = program.model_proto.SerializeToString()
    return content


def onnx_difference(content: bytes, network: nn.Module, image_size: int) -> float:
    """Measure the largest absolute difference of a feature between onnxruntime and torch on normal noise."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch in _CHECKED_BATCHES:
        images = torch.randn(batch, 3, image_size, image_size, generator=generator)
        with torch.inference_mode():
            expected = network.eval()(images).numpy()
        found = session.run(["features"], {"images": images.numpy()})[0]
        # np.maximum keeps a NaN, which Python's max would lose.
        largest = float(np.maximum(largest, np.abs(found - expected).max()))
    return largest
