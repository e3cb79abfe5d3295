"""Make real files for the fuzz, by the real commands and writers: small ones, so that thousands can be damaged."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
import zarr
from click.testing import Result

from recipes import shipped_recipes
from tests.robustness.commands import CPU, run_eval, run_train
from tests.shards.small_datasets import write_small_dataset
from tests.training.labelled_shards import LABELS, write_labelled_dataset
from tests.training.studies.small_study import write_study
from training.backbones.weight_files import safetensors_bytes, weights_digest
from training.downstream.embeddings import write_embeddings
from training.runs.checkpoints import save_checkpoint

SMALL = ("--backbone", "mobilenet_v2")
"""The architecture with the smallest files."""


def make_inputs(folder: Path) -> None:
    """Fill a new folder: a folder for each target of the fuzz."""
    shards = write_labelled_dataset(folder / "shards").root
    _make_weights(folder)
    pretraining = (
        *("--init", "random", "--image-size", 32, "--queue-size", 8, "--batch-size", 8, "--batch-norm", "none"),
        *("--optimizer", "sgd", "--epochs", 1, "--log-every", 1, "--milestones", 1, *CPU, *SMALL),
    )
    _done(run_train("pretrain", "--shards", shards, "--output", folder / "run", *pretraining))
    shutil.rmtree(folder / "run" / "checkpoints")
    shutil.rmtree(folder / "run" / "tensorboard")
    _done(run_train("export", folder / "run", folder / "export", "--format", "torchvision", "--with-patients"))
    _done(
        run_train(
            *("probe", "--shards", shards, "--backbone-from", folder / "run", "--labels", ",".join(LABELS), *CPU),
            *("--output", folder / "model", "--cache", folder / "cache"),
        )
    )
    (folder / "tables").mkdir()
    predict = ("predict", "--shards", shards, "--model", folder / "model", *CPU)
    _done(run_eval(*predict, "--output", folder / "tables" / "predictions.csv"))
    table = pd.read_csv(folder / "tables" / "predictions.csv")
    truth = table.assign(**{name: (table[name] > 0.5).astype(int) for name in table.columns[1:]})
    truth.to_csv(folder / "tables" / "truth.csv", index=False)
    _done(run_eval(*predict, "--split", "valid", "--output", folder / "tables" / "valid.csv"))
    arms = ("--labels", shards, "--arm", f"a={folder / 'tables' / 'predictions.csv'}")
    _done(run_eval("bootstrap", *arms, "--replicates", 400, "--output", folder / "tables" / "result.json"))
    _done(run_eval("calibration", *arms, "--output", folder / "tables" / "calibration.json"))
    valid = ("--labels", shards, "--arm", f"a={folder / 'tables' / 'valid.csv'}")
    _done(run_eval("thresholds", *valid, "--output", folder / "tables" / "thresholds.json"))
    write_small_dataset(folder / "dataset")
    _make_groups(folder)
    (folder / "study").mkdir()
    write_study(folder / "study" / "study.yaml")
    shutil.copy(shipped_recipes()["study_moco_cxr"], folder / "study" / "paper.yaml")
    (folder / "recipe").mkdir()
    for name in ("demo", "moco_cxr_resnet18"):
        shutil.copy(shipped_recipes()[name], folder / "recipe" / f"{name}.yaml")
    shown = run_train(
        "finetune",
        *("--shards", "a", "--backbone-from", "random", "--labels", "Edema"),
        "--output",
        "o",
        "--print-config",
    )
    options = yaml.safe_load(shown.stdout)
    (folder / "recipe" / "finetune.yaml").write_text(
        yaml.safe_dump({key: value for key, value in options.items() if value is not None})
    )


def _make_weights(folder: Path) -> None:
    for name in ("torch", "published", "checkpoints", "safetensors"):
        (folder / name).mkdir()
    weights = {"conv1.weight": torch.randn(4, 3, 3, 3), "bn1.running_mean": torch.zeros(4), "n": torch.tensor(3)}
    torch.save(weights, folder / "torch" / "weights.pth")
    torch.save({"state_dict": weights}, folder / "torch" / "old.pth", _use_new_zipfile_serialization=False)
    encoder = {f"{one}.{name}": value for one in ("encoder_q", "encoder_k") for name, value in weights.items()}
    heads = {f"encoder_q.fc.{n}.{kind}": torch.zeros(2) for n in (0, 2) for kind in ("weight", "bias")}
    state = {f"module.{name}": value for name, value in {**encoder, **heads}.items()}
    state |= {"module.queue": torch.randn(4, 8), "module.queue_ptr": torch.tensor([3])}
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    content = {"epoch": 3, "arch": "resnet18", "state_dict": state, "optimizer": optimizer}
    torch.save(content, folder / "published" / "new.pth.tar")
    torch.save(content, folder / "published" / "old.pth.tar", _use_new_zipfile_serialization=False)
    rng = {"cpu": torch.get_rng_state(), "cuda": []}
    plain = {"step": 3, "epoch": 1, "threads": 1, "processes": 1, "seconds": 3.5, "scaler": {}, "window": {}}
    parts = {"moco": weights, "optimizer": optimizer, "schedule": {"lr": 0.1}, "rng": rng, "loader": {}, "backbone": {}}
    save_checkpoint(folder / "checkpoints", 3, {**plain, **parts})
    (folder / "safetensors" / "model.safetensors").write_bytes(safetensors_bytes(weights))
    digest = weights_digest(weights)
    (folder / "safetensors" / "config.json").write_text(f'{{"architecture": "resnet18", "digest": "{digest}"}}')


def _make_groups(folder: Path) -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((20, 4), np.float32)
    batches = [(features, np.arange(20, dtype=np.int64))]
    (folder / "embeddings").mkdir()
    write_embeddings(folder / "embeddings" / "features.zarr", batches, 20, 4, {"backbone": {"digest": "x"}})
    (folder / "scores").mkdir()
    group = zarr.create_group(folder / "scores" / "scores.zarr", zarr_format=3)
    scores = group.create_array("scores", shape=(2, 6, 2), dtype="float32", chunks=(1, 6, 2))
    scores[...] = random.random((2, 6, 2), np.float32)
    ids = group.create_array("sample_id", shape=(6,), dtype="int64", chunks=(6,))
    ids[...] = np.arange(6) + 10
    group.attrs.update({"labels": ["Edema", "Mass"], "models": [{"model": {"digest": "a"}}, None]})


def _done(result: Result) -> None:
    assert result.exit_code == 0, result.output
