"""Keep what a kill campaign has done so far, so that the same command resumes it after an interruption."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from shards.durable import write_json_atomically

RECORD = "campaign.json"
_BETWEEN = " | "


def begin_or_resume(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Make the folder of a campaign, or read the record of the one that it holds. Returns the record.

    options: what makes another campaign. Raises ValueError for a folder with another campaign, or with anything else.
    """
    path = folder / RECORD
    if path.is_file():
        record: dict[str, Any] = json.loads(path.read_bytes())
        if record["options"] != options:
            raise ValueError(f"{folder} holds a campaign with {record['options']}, not {options}: give another folder")
        return record
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty, and holds no campaign: give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return save(folder, options, Counter(), {})


def save(folder: Path, options: dict[str, Any], kills: "Counter[Any]", more: dict[str, Any]) -> dict[str, Any]:
    """Write the record. kills: by a text, or by several. more: what else the campaign counts."""
    named = {_BETWEEN.join(key) if isinstance(key, tuple) else key: count for key, count in sorted(kills.items())}
    record = {"options": options, "kills": named, **more}
    write_json_atomically(folder / RECORD, record)
    return record


def kills_of(record: dict[str, Any]) -> "Counter[Any]":
    """The kills of a record, as they were given to `save`."""
    return Counter(
        {tuple(key.split(_BETWEEN)) if _BETWEEN in key else key: count for key, count in record["kills"].items()}
    )
