"""Refuse to write a dataset into the folders of this project's own code."""

from pathlib import Path

import ingest
from shards.errors import DatasetError

PACKAGES = ("shards", "ingest", "training", "evaluation", "recipes")


def refuse_own_packages(out: Path) -> None:
    """Raise DatasetError where `out` is one of the project's packages or lies in one, also by a link.

    The packages have generic names, so that `cxr-ingest build-shards SOURCE shards` in a clone would mix a dataset with
    code, and `git clean` would delete it.
    """
    project = Path(ingest.__file__).resolve().parents[1]
    real = out.resolve()
    for package in PACKAGES:
        folder = project / package
        if (folder / "__init__.py").is_file() and (real == folder or folder in real.parents):
            raise DatasetError(
                f"{out} lies in {folder}, which holds this project's code: give a folder outside of it, such as "
                f"data/{out.name if real != folder else 'chexpert'}"
            )
