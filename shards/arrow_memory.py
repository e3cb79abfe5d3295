"""Give bytes to Arrow in memory of its own, which its threads let go of without Python."""

import numpy as np
import pyarrow as pa


def arrow_file(content: bytes) -> pa.BufferReader:
    """Copy the bytes to a file in Arrow's memory, to be read as CSV or Parquet.

    Arrow reads in threads of its own. The last of them to hold a Python object, such as an io.BytesIO or a callback,
    has to enter Python to let go of it; while Python ends it cannot, and the process is aborted after all its work is
    done ("terminate called without an active exception", seen once in some 120 builds).
    """
    buffer = pa.allocate_buffer(len(content))
    np.frombuffer(buffer, dtype=np.uint8)[:] = np.frombuffer(content, dtype=np.uint8)
    return pa.BufferReader(buffer)
