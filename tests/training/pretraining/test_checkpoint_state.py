from pathlib import Path

import pytest

from shards.errors import ResumeError
from training.pretraining.checkpoint_state import RunState, load_run_state
from training.runs.checkpoints import save_checkpoint


@pytest.mark.parametrize("key", sorted(RunState.__required_keys__))
def test_a_checkpoint_without_one_of_the_keys_is_refused_by_file_and_key(tmp_path: Path, key: str) -> None:
    save_checkpoint(tmp_path, 3, dict.fromkeys(RunState.__required_keys__ - {key}))
    with pytest.raises(ResumeError, match=rf"step-00000003.pt .* the key {key} is missing"):
        load_run_state(tmp_path, 3)
