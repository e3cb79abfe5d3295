"""Hyperparameters as YAML files: the paper's, and the demo's. Data only; `--config NAME` reads them."""

from pathlib import Path

_COMMANDS = {"study": "sweep", "probe": "probe", "finetune": "finetune"}


def shipped_recipes() -> dict[str, Path]:
    """Name (without .yaml) and path of each recipe that the project ships."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def recipe_command(name: str) -> str:
    """The command of cxr-train that takes the recipe: study_* is for sweep, probe_* and finetune_* for these, all
    others for pretrain."""
    return _COMMANDS.get(name.partition("_")[0], "pretrain")


def recipe_title(path: Path) -> str:
    """What a recipe says of itself: the first sentence of its first comment."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return " ".join(comment).partition(". ")[0].rstrip(".")
