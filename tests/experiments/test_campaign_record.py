"""A campaign that was interrupted is resumed by the same command, and no other one is taken for it."""

from collections import Counter
from pathlib import Path

import pytest

from experiments.campaign_record import begin_or_resume, kills_of, save


@pytest.mark.parametrize(
    "kills", [Counter({("worker", "while filling"): 3, ("parent", "before the plan"): 1}), Counter({"in a step": 2})]
)
def test_kills_are_read_as_they_were_counted(kills: "Counter[object]", tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    assert not kills_of(begin_or_resume(folder, {"seed": 0}))
    save(folder, {"seed": 0}, kills, {"trees": 4})
    record = begin_or_resume(folder, {"seed": 0})
    assert kills_of(record) == kills
    assert record["trees"] == 4


def test_another_campaign_and_other_peoples_files_are_refused(tmp_path: Path) -> None:
    begin_or_resume(tmp_path / "one", {"seed": 0})
    with pytest.raises(ValueError, match="holds a campaign with"):
        begin_or_resume(tmp_path / "one", {"seed": 1})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty, and holds no campaign"):
        begin_or_resume(tmp_path, {"seed": 0})
