"""The bytes of one sample, against the standard library's."""

import io
import json
import math
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import DatasetError
from shards.format.sample import json_value, pack_sample
from shards.format.schema import COLUMNS, Cell

LABELS = ("Edema",)


def row(key: str) -> dict[str, Cell]:
    return dict.fromkeys((*COLUMNS, *LABELS)) | {"key": key, "sample_id": 7, "age": 50.0, "Edema": math.nan}


@given(key=st.from_regex(r"[A-Za-z0-9_-]{1,95}", fullmatch=True), size=st.integers(0, 3000), start=st.integers(0, 9))
def test_members_stand_in_the_tar_as_tarfile_writes_them(key: str, size: int, start: int) -> None:
    jpeg = bytes(range(256)) * 12
    packed = pack_sample(row(key), jpeg[:size], LABELS, start * 512)
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in packed.members:
            member = tarfile.TarInfo(entry.name)
            member.size, member.mode = entry.size, 0o444
            begin = entry.offset - start * 512
            tar.addfile(member, io.BytesIO(packed.content[begin : begin + entry.size]))
        length = tar.offset
    assert packed.content == expected.getvalue()[:length]
    assert [entry.name for entry in packed.members] == [f"{key}.{kind}" for kind in ("jpg", "json", "sid")]
    assert json.loads(packed.content[packed.members[1].offset - start * 512 :][: packed.members[1].size])["age"] == 50


@given(value=st.floats(width=32, allow_infinity=False))
def test_a_float_is_written_as_the_shortest_text_that_is_the_same_float32(value: float) -> None:
    written = json_value(value, floating=True)
    if math.isnan(value):
        assert written is None
        return
    assert isinstance(written, float)
    assert np.float32(written) == np.float32(value)
    assert repr(written) == repr(float(str(np.float32(value))))


def test_a_jpeg_that_no_tar_header_can_hold_is_refused() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 8**11

    with pytest.raises(DatasetError, match="does not fit into a USTAR header"):
        pack_sample(row("patient00001"), Huge(), LABELS, 0)
