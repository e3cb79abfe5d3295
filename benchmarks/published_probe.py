"""Train a linear probe from image files, as MoCo-CXR's chexpert_supervised does: the other side of benchmarks.study.

Every epoch decodes its images again (PIL, RGB, torchvision's transforms, DataLoader) and takes them through the frozen
network, in train mode, to learn its last layer (batches of 16, Adam, 1e-4).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

BATCH = 16
RATE = 1e-4
POSITIVE, NEGATIVE = "1", "0"
"""Folders of the image files of each class."""


class _Files(Dataset[tuple[Tensor, float]]):
    """Image files with their class, scaled and cropped to `size` pixels, [3, size, size], as published."""

    def __init__(self, folder: Path, size: int) -> None:
        self._files = sorted(folder.glob("*/*.jpg"))
        self._view = transforms.Compose(
            [
                transforms.Resize(size),
                transforms.RandomCrop(size),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        path = self._files[index]
        return self._view(Image.open(path).convert("RGB")), float(path.parent.name == POSITIVE)


def train(folder: Path, images: int, size: int, workers: int) -> None:
    """Train the last layer of a ResNet-18 on so many images, over and over those of a folder."""
    torch.set_num_threads(workers)
    network = models.resnet18(weights=None).requires_grad_(False)
    network.fc = torch.nn.Linear(network.fc.in_features, 1)
    network.train()
    optimizer = torch.optim.Adam(network.fc.parameters(), lr=RATE)
    loss = torch.nn.BCEWithLogitsLoss()
    loader = DataLoader(_Files(folder, size), BATCH, shuffle=True, num_workers=workers, drop_last=True)
    seen = 0
    for image, label in _again_and_again(loader):
        if seen >= images:
            return
        optimizer.zero_grad()
        loss(network(image)[:, 0], label.float()).backward()
        optimizer.step()
        seen += len(image)


def _again_and_again(loader: "DataLoader[tuple[Tensor, float]]") -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def main() -> None:
    """Train as the command line says: FOLDER IMAGES SIZE WORKERS."""
    folder, *numbers = sys.argv[1:]
    train(Path(folder), *map(int, numbers))
