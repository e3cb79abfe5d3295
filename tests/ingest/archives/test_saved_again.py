"""An archive's tables after a person has opened and saved them: the rows are the same."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ingest.archives.source import VARIANTS, open_source
from tests.ingest.archives.miniatures import MINIATURES

WITHOUT_TABLES = {"shenzhen", "montgomery"}


def typed(path: Path) -> pd.DataFrame:
    """As pandas reads it; the hexadecimal names of images hold letters in the archives."""
    return pd.read_csv(path, dtype={"image_id": str})


def as_text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str)


def saved(frame: pd.DataFrame, **how: Any) -> str:  # noqa: ANN401 - pandas' own options
    return str(frame.to_csv(**{"index": False, **how}))


def whole_numbers_as_floats(path: Path) -> str:
    return saved(typed(path).apply(lambda one: one.astype(float) if pd.api.types.is_integer_dtype(one) else one))


def labels_as_words(path: Path) -> str:
    frame = as_text(path)
    words = {"1.0": "True", "0.0": "FALSE"}
    return saved(frame.map(lambda cell: words.get(cell, cell)))


def notes_in_front(path: Path) -> str:
    frame = as_text(path)
    frame.insert(0, "notes", 'two\n\nlines, "quoted"')
    return saved(frame)


def blanks_around(path: Path) -> str:
    return saved(as_text(path).map(lambda cell: f" {cell} " if isinstance(cell, str) else cell))


WAYS: dict[str, Callable[[Path], str]] = {
    "types": lambda path: saved(typed(path)),
    "an index": lambda path: saved(typed(path), index=True),
    "nan": lambda path: saved(typed(path), na_rep="nan"),
    "NULL": lambda path: saved(as_text(path), na_rep="NULL"),
    "two decimals": lambda path: saved(typed(path), float_format="%.2f"),
    "floats": whole_numbers_as_floats,
    "words": labels_as_words,
    "notes": lambda path: saved(as_text(path).assign(notes='two\nlines, "quoted"')),
    "notes in front": notes_in_front,
    "quotes and Windows": lambda path: saved(as_text(path), quoting=1, lineterminator="\r\n"),
    "comments": lambda path: "# exported 2024\n# by me\n" + saved(as_text(path)),
    "a byte order mark": lambda path: "\ufeff" + saved(as_text(path)),
    "blanks": blanks_around,
    "empty lines": lambda path: saved(as_text(path)) + "\n\n",
    "another order": lambda path: saved(as_text(path).sample(frac=1, random_state=1)),
}


def rows_of(variant: str, folder: Path) -> pd.DataFrame:
    found = open_source(variant, folder).read()
    assert found.rejected.empty
    return found.samples.drop(columns="where").sort_values("key", ignore_index=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - WITHOUT_TABLES))
def test_a_table_that_was_saved_again_says_the_same(tmp_path: Path, variant: str, way: str) -> None:
    MINIATURES[variant](tmp_path)
    before = rows_of(variant, tmp_path)
    tables = [path for path in tmp_path.rglob("*") if path.name.endswith((".csv", ".csv.gz"))]
    assert tables
    for path in tables:
        content = WAYS[way](path).encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    pd.testing.assert_frame_equal(rows_of(variant, tmp_path), before)
