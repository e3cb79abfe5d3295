"""Hyperparameters as YAML files: the paper's, and the demo's. Data only; `--config NAME` reads them."""

from pathlib import Path


def shipped_recipes() -> dict[str, Path]:
    """Name (without .yaml) and path of each recipe that the project ships."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
