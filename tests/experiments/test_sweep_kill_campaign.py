from pathlib import Path

from click.testing import CliRunner

from experiments.sweep_kill_campaign import differences, main


def test_a_sweep_killed_at_random_moments_ends_with_the_undisturbed_tables(tmp_path: Path) -> None:
    words = [str(tmp_path / "out"), "--kills", "3", "--patients", "30", "--fine-tunings", "2", "--draws", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "3 kills" in result.stdout
    assert "tables byte for byte those of the undisturbed study" in result.stdout


def test_the_campaign_sees_a_changed_table_a_missing_one_and_another_model(tmp_path: Path) -> None:
    for name, digest in (("one", "a"), ("other", "b")):
        (tmp_path / name / "tables").mkdir(parents=True)
        (tmp_path / name / "cells" / "c").mkdir(parents=True)
        (tmp_path / name / "tables" / "gains.csv").write_text(f"{name}\n")
        (tmp_path / name / "cells" / "c" / "model.json").write_text(f'{{"digest": "{digest}"}}')
    (tmp_path / "one" / "tables" / "cells.csv").touch()
    one, other = tmp_path / "one", tmp_path / "other"
    assert differences(one, one) == []
    assert differences(one, other) == ["cells/c/model.json", "tables/cells.csv", "tables/gains.csv"]
