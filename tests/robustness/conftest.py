"""Fixtures of the robustness tests."""

from pathlib import Path

import pytest

from tests.robustness.weight_inputs import Inputs, make_weights


@pytest.fixture(scope="session")
def inputs(labelled_root: Path, probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Weights of each kind. Do not change them: copy a part first."""
    return make_weights(labelled_root, probed, tmp_path_factory.mktemp("whole"))
