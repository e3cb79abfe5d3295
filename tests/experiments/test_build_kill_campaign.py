from pathlib import Path

from click.testing import CliRunner

from experiments.build_kill_campaign import main


def test_builds_killed_at_random_moments_end_with_the_undisturbed_bytes(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "out"), "--kills", "5", "--patients", "24"])
    assert result.exit_code == 0, result.output
    assert "5 kills" in result.stdout
    assert "all equal byte for byte" in result.stdout
