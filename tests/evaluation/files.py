"""Writes the files that evaluation reads: predictions with sidecars, truth tables, a dataset of shards."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evaluation.tables.sidecar import Sidecar
from shards.format.dataset import Dataset, open_dataset, write_dataset
from shards.format.description import DatasetFacts
from shards.format.schema import COLUMNS, WRITER_COLUMNS, schema
from shards.format.shard_writer import ShardWriter
from shards.json_value import JsonValue


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """A CSV; None becomes blank."""
    lines = [",".join(header)]
    lines += [",".join("" if value is None else str(value) for value in row) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_sidecar(predictions: Path, **content: object) -> dict[str, Any]:
    """`<file>.json` beside predictions."""
    path = predictions.with_name(predictions.name + ".json")
    path.write_text(json.dumps(content))
    return dict(content)


def sidecar_of(content: dict[str, Any] | None) -> Sidecar | None:
    """A sidecar of this content, None where there is none."""
    return None if content is None else Sidecar(JsonValue(content))


def build_dataset(
    root: Path, rows: Sequence[Mapping[str, Any]], labels: Sequence[str], name: str = "chexpert"
) -> Dataset:
    """A finished dataset of the given rows (key, patient_id, split, labels; the rest is filled in), one shard a split.

    The JPEGs are a few bytes that nobody decodes.
    """
    root.mkdir(parents=True)
    blank = dict.fromkeys(set(COLUMNS) - WRITER_COLUMNS) | {"width": 8, "height": 8, "source_split": "train"}
    summaries, complete = [], []
    for split in ("train", "valid", "test"):
        chosen = [row for row in rows if row["split"] == split]
        if not chosen:
            continue
        with ShardWriter(root, f"{split}-000000", name, labels) as writer:
            for row in chosen:
                writer.add(
                    blank | dict.fromkeys(labels) | {"source_path": f"x/{row['key']}.jpg"} | dict(row), b"\xff\xd8"
                )
        summaries.append(writer.summary)
        complete += writer.rows
    write_dataset(
        root,
        DatasetFacts(
            name=name,
            variant="chexpert",
            licence="none",
            label_names=tuple(labels),
            seed=0,
            options={},
            versions={},
        ),
        histogram=np.ones(256, np.int64),
        shards=summaries,
        samples=pa.Table.from_pylist(complete, schema=schema(labels)),
    )
    return open_dataset(root)
