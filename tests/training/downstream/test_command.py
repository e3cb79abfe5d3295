"""Probes and fine-tuning from Python, by `training.probe` and `training.finetune` and their options."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import training
from shards.errors import ResumeError
from tests.training.labelled_shards import LABELS
from training.downstream.options import SupervisedOptions


def shared(shards: Path, output: Path) -> dict[str, object]:
    """Options of both methods that keep them quick."""
    return {
        **{"shards": shards, "output": output, "backbone_from": "random", "image_size": 32},
        **{"labels": LABELS[:1], "device": "cpu", "threads": 1},
    }


def test_a_probe_is_made_once_and_its_results_are_read_again(labelled_root: Path, tmp_path: Path) -> None:
    options = training.ProbeOptions(**shared(labelled_root, tmp_path / "probe"), cache=tmp_path / "cache")  # type: ignore[arg-type]
    first = training.probe(options)
    assert first.new
    assert first.folder == tmp_path / "probe"
    written = json.loads((first.folder / "model.json").read_text())["results"]
    test = first.results[LABELS[0]]["test"]
    assert test is not None
    assert asdict(test) == written[LABELS[0]]["test"]
    again = training.probe(options)
    assert not again.new
    assert again.results == first.results
    with pytest.raises(ResumeError, match="draw: 0 there, 1 here"):
        training.probe(replace(options, draw=1))


def test_fine_tuning_returns_the_results_that_its_model_directory_holds(labelled_root: Path, tmp_path: Path) -> None:
    options = training.FinetuneOptions(
        **shared(labelled_root, tmp_path / "tuned"),  # type: ignore[arg-type]
        epochs=1,
        min_steps=1,
        batch_size=16,
    )
    assert isinstance(options, SupervisedOptions)
    fitted = training.finetune(options)
    assert fitted.new
    assert set(fitted.results[LABELS[0]]) == {"valid", "test"}
    assert training.finetune(options).results == fitted.results
    assert training.load_model(fitted.folder).labels == LABELS[:1]
