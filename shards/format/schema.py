"""The columns of samples.parquet in format version 1, shared by writer and reader."""

from collections.abc import Sequence

import pyarrow as pa

FORMAT_VERSION = 1
SPLITS = ("train", "valid", "test")

_FIELDS: tuple[pa.Field, ...] = (
    pa.field("key", pa.string(), nullable=False),
    pa.field("sample_id", pa.int64(), nullable=False),
    pa.field("shard", pa.string(), nullable=False),
    pa.field("position", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("bytes", pa.int64(), nullable=False),
    pa.field("crc32c", pa.uint32(), nullable=False),
    pa.field("patient_id", pa.string(), nullable=False),
    pa.field("study_id", pa.string()),
    pa.field("projection", pa.string()),
    pa.field("ap_pa", pa.string()),
    pa.field("sex", pa.string()),
    pa.field("age", pa.float32()),
    pa.field("split", pa.string(), nullable=False),
    pa.field("source_split", pa.string()),
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("source_path", pa.string()),
    pa.field("excluded", pa.string()),
)

COLUMNS: tuple[str, ...] = tuple(field.name for field in _FIELDS)
"""Names of the columns before the labels, in order."""

FLOAT_COLUMNS = frozenset(field.name for field in _FIELDS if pa.types.is_floating(field.type))
"""Those of COLUMNS that are float32, as all labels are."""

WRITER_COLUMNS = frozenset({"sample_id", "shard", "position", "offset", "bytes", "crc32c"})
"""What the shard writer fills in; a row given to it has every other column."""


def schema(label_names: Sequence[str]) -> pa.Schema:
    """Arrow schema of samples.parquet: the fixed columns, then one nullable float32 column a label."""
    clashes = sorted(set(label_names) & set(COLUMNS))
    if clashes or len(set(label_names)) != len(label_names):
        raise ValueError(f"label names repeat or clash with a column: {clashes or list(label_names)}")
    return pa.schema([*_FIELDS, *(pa.field(label, pa.float32()) for label in label_names)])
