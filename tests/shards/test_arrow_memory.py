"""Bytes in Arrow's own memory: read as they are, and held by no Python object."""

import io
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from shards.arrow_memory import arrow_file


def test_parquet_and_csv_are_read_from_it() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    assert pq.read_table(arrow_file(buffer.getvalue())).equals(table)
    frame = pa.csv.read_csv(arrow_file(b"a,b\n1,x\n")).to_pandas()
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1], "b": ["x"]}))


def test_an_empty_file_is_one() -> None:
    assert arrow_file(b"").size() == 0


def test_arrow_holds_a_copy_and_nothing_of_python() -> None:
    content = bytes(1 << 20)
    holders = sys.getrefcount(content)
    file = arrow_file(content)
    assert sys.getrefcount(content) == holders
    assert file.read() == content
