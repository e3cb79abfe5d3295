"""What all tests share: the rule about skips under CI, and models that several rooms read.

A room's own fixtures live in tests/<room>/conftest.py.
"""

from pathlib import Path

import pytest

from tests.no_skips_in_ci import pytest_runtest_makereport  # noqa: F401 - a hook
from tests.training.labelled_shards import BACKBONE, LABELS, TUNED, make_model, write_labelled_dataset
from tests.training.studies.small_study import sweep, write_study


@pytest.fixture(scope="session")
def labelled_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished dataset called `labelled` with all three splits. Do not change it: copy it first."""
    return write_labelled_dataset(tmp_path_factory.mktemp("labelled") / "shards").root


@pytest.fixture(scope="session")
def embeddings_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of embeddings for the whole session."""
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture(scope="session")
def probed(labelled_root: Path, embeddings_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a linear probe of both labels on a random ResNet-18."""
    output = tmp_path_factory.mktemp("models") / "probe"
    words = ("--labels", ",".join(LABELS), "--cache", embeddings_cache)
    return make_model("probe", labelled_root, output, *BACKBONE, *words)


@pytest.fixture(scope="session")
def tuned(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a ResNet-18 fine-tuned on one label for two short epochs."""
    output = tmp_path_factory.mktemp("models") / "finetune"
    return make_model("finetune", labelled_root, output, *BACKBONE, *TUNED)


@pytest.fixture(scope="session")
def small_study(labelled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small study file, study.yaml, and its dataset."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "labelled").symlink_to(labelled_root)
    write_study(folder / "study.yaml")
    return folder


@pytest.fixture(scope="session")
def swept(small_study: Path) -> Path:
    """The folder of a finished sweep of the small study. Do not change it: copy it first."""
    output = small_study / "undisturbed"
    result = sweep(small_study / "study.yaml", output)
    assert result.exit_code == 0, result.output
    assert "12 of 12 cells are done." in result.output
    return output
