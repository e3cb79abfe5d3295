"""The public functions of the packages, each used once, on a phantom: docs/python-api.md shows these cells.

    python -m examples.from_python OUT

A cell begins with `# %%` and the name of the function that it shows, so that editors run them one by one. Writes a
phantom, shards, a run, two models, predictions and a result into OUT, in about half a minute on two idle cores.
"""

import sys
from pathlib import Path

import torch

import evaluation
import ingest
import shards
import training

OUT = Path(sys.argv[1])

# %% ingest.make_phantom
phantom = ingest.make_phantom(OUT / "phantom", chexpert_patients=40, shenzhen_images=0, seed=0, workers=1)
print(phantom.images)  # {"train": 75, ...}: so few that nothing is learned from them
assert phantom.chexpert is not None

# %% ingest.build_shards
options = ingest.BuildShardsOptions(
    source=phantom.chexpert,
    test_source=phantom.chexpert_test,
    out=OUT / "shards",
    dataset="chexpert",
    name="phantom",
    short_side=60,
    workers=1,
)
print(ingest.build_shards(options))

# %% shards.open_dataset
dataset = shards.open_dataset(OUT / "shards")
print(dataset.name, dataset.label_names[:3], dataset.mean, dataset.std)
print(dataset.samples[["key", "split", "patient_id", "sex", "age", "Edema"]].head())

# %% shards.open_datasets
datasets = shards.open_datasets([OUT / "shards"])  # several, for one run: a name may occur once

# %% shards.select
train, test = shards.select(dataset, "train"), shards.select(dataset, "test")
print(len(train), "images to train on,", len(test), "to test on")

# %% shards.label_fraction
tenth = shards.label_fraction(train, dataset.name, fraction=0.1, draw=0)
print(len(tenth), "images of", tenth["patient_id"].nunique(), "patients")

# %% shards.EvaluationLoader
loader = shards.EvaluationLoader(dataset, test, image_size=32, batch_size=32)
for batch in loader:
    print(batch.image.shape, batch.image.dtype, batch.sample_id[:3])  # [N, 1, 32, 32], uint8

# %% shards.OneViewLoader
augmented = shards.OneViewLoader(
    dataset, train, image_size=32, batch_size=16, seed=0, views=shards.ViewRange(degrees=20.0, flip=False)
)
one_view = next(iter(augmented))
print(one_view.image.shape)
augmented.close()

# %% shards.TwoViewLoader
two_views = shards.TwoViewLoader(
    [dataset], image_size=32, batch_size=16, seed=0, placement=shards.Placement(device="cpu", threads=2)
)
pair = next(iter(two_views))
assert pair.query.shape == pair.key.shape == (16, 1, 32, 32)
state = two_views.state_dict()  # plain numbers and text: load_state_dict of a new loader resumes here
two_views.close()

# %% training.pretrain
outcome = training.pretrain(
    training.PretrainOptions(
        shards=(OUT / "shards",),
        output=OUT / "run",
        init="random",
        image_size=32,
        batch_size=16,
        epochs=1,
        queue_size=32,
        momentum=0.9,
        optimizer="sgd",
        lr=0.03,
        schedule="cosine",
        device="cpu",
        threads=1,
    )
)
print(outcome)  # Outcome.FINISHED; the same call again does nothing, or resumes what was stopped

# %% training.load_backbone
backbone = training.load_backbone(str(OUT / "run"))
print(backbone.architecture, backbone.image_size, backbone.mean, backbone.std, backbone.initial)
network = backbone.network.eval()
with torch.inference_mode():
    features = torch.cat([network(backbone.preprocess(batch.image)) for batch in loader])
print(features.shape)  # [N, 512]
untrained = training.load_backbone("random", image_size=32, mean=dataset.mean, std=dataset.std, seed=0)

# %% training.probe
fitted = training.probe(
    training.ProbeOptions(
        shards=OUT / "shards",
        backbone_from=str(OUT / "run"),
        labels=("Pleural Effusion",),
        uncertain="ones",
        missing="zeros",
        output=OUT / "models" / "probe",
        cache=OUT / "embeddings",
        device="cpu",
        threads=1,
    )
)
print(fitted.results["Pleural Effusion"]["test"])

# %% training.finetune
tuned = training.finetune(
    training.FinetuneOptions(
        shards=OUT / "shards",
        backbone_from=str(OUT / "run"),
        labels=("Pleural Effusion",),
        uncertain="ones",
        missing="zeros",
        output=OUT / "models" / "tuned",
        epochs=1,
        min_steps=1,
        device="cpu",
        threads=1,
    )
)
print(tuned.folder, tuned.new)

# %% training.load_model
model = training.load_model(OUT / "models" / "probe")
print(model.labels, model.architecture, len(model.patients), "patients seen")

# %% evaluation.embed
count = evaluation.embed(
    evaluation.EmbedOptions(
        shards=OUT / "shards", backbone_from=str(OUT / "run"), output=OUT / "test.zarr", split="test", device="cpu"
    )
)
assert count == len(test)

# %% evaluation.predict
for name in ("probe", "tuned"):
    rows = evaluation.predict(
        evaluation.PredictOptions(
            shards=OUT / "shards",
            model=OUT / "models" / name,
            output=OUT / "predictions" / f"{name}.csv",
            aggregate="study",
            device="cpu",
            threads=1,
        )
    )
    print(rows, "studies")

# %% evaluation.bootstrap
result = evaluation.bootstrap(
    evaluation.BootstrapOptions(
        labels=OUT / "shards",
        model=((OUT / "predictions" / "probe.csv",),),
        baseline=((OUT / "predictions" / "tuned.csv",),),
        output=OUT / "results" / "effusion.json",
        allow_different=("method",),  # a probe against fine-tuning: differences must be declared
        replicates=500,
    )
)
effusion = result.labels["Pleural Effusion"]
print(effusion.positives, "of", effusion.n, "studies are positive")
print("AUROC", effusion.arms["model"].value, effusion.arms["model"].ci)  # no interval of so few studies: None
print("difference", effusion.differences["model"].value, effusion.differences["model"].ci)
