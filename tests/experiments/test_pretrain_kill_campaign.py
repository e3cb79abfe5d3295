from pathlib import Path

import torch
from click.testing import CliRunner

from experiments.pretrain_kill_campaign import differences, main


def test_a_run_killed_at_random_moments_ends_with_the_undisturbed_bits(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "out"), "--kills", "3", "--epochs", "2"])
    assert result.exit_code == 0, result.output
    assert "3 kills" in result.stdout
    assert "all equal bit for bit" in result.stdout


def test_the_campaign_sees_a_changed_bit_a_missing_line_and_another_type() -> None:
    one = {"moco": {"weight": torch.zeros(3)}, "metrics": [{"loss": 1.0}, {"loss": 2.0}], "step": 1}
    other = {"moco": {"weight": torch.tensor([0.0, 1e-45, 0.0])}, "metrics": [{"loss": 1.0}], "step": 1.0}
    assert list(differences(one, one)) == []
    assert sorted(differences(one, other)) == ["/metrics (length)", "/moco/weight", "/step"]
