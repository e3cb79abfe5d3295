"""Read files that torch.save wrote: whole ones only, and without running anything in them.

torch.load does not look at the CRC-32 that a file of torch 1.6 and later (a zip) holds of each part: with a bit of a
tensor flipped it returns other weights without a word. Older files hold no checksum. What torch says of a file that it
does not read is never shown: it advises to switch off the protection (weights_only).
"""

import errno
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from shards.input_files import Reading, open_regular
from training.errors import WeightsError

_ZIP, _PICKLE, _TAR = b"PK\x03\x04", b"\x80", b"ustar"
_SCRIPT = "/constants.pkl"
"""Ends the name of a part that TorchScript archives have."""
_FOLDER = 0x10
"""MS-DOS's attribute of a folder, in the directory of a zip."""
_OBJECT = re.compile(r"GLOBAL ([\w.]+)")
_NOT_ONE = "cut off, or not what was written (it does not begin as a file of torch.save does)"


class MoreThanWeightsError(WeightsError):
    """A whole file that holds other objects than tensors and plain values. what: the first of them, for a person."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} holds more than tensors and plain values ({what}). Reading that may run code, so it is not read. "
            "Save the network's state_dict() alone, where it was made, and give that file."
        )
        self.what = what


def read_torch_file(path: Path, what: str = "weights") -> Any:  # noqa: ANN401 - tensors and plain values of any shape
    """Read tensors and plain values onto the CPU. Raises WeightsError for anything else, and for damage.

    what: the kind of content, for messages. Tensors own their memory, so that none is larger than the file.
    """
    try:
        damage = damage_of(path)
        if damage is not None:
            raise WeightsError(f"{path} cannot be read as {what}: {damage}. Copy or fetch it again.")
        with Reading(path):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read as {what}: {error.strerror or error}.") from error
    except WeightsError:
        raise
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise _in_words(path, what, str(error)) from error
    if not all(_is_plain(tensor) for tensor in _tensors(content)):
        raise WeightsError(f"{path} cannot be read as {what}: it holds a tensor that is sparse, quantized or a view.")
    return content


def damage_of(path: Path, *, checksums: bool = False) -> str | None:
    """Find damage in the bytes of a file that torch.save wrote, or None. Raises OSError where it cannot be read.

    checksums: whether the file must hold some, as those of torch since 1.6 do.
    `test_no_changed_byte_goes_unnoticed` tries every byte of a checkpoint.
    """
    try:
        with open_regular(path) as file:
            start = file.read(512)
            if not start.startswith(_ZIP) and not zipfile.is_zipfile(file):
                older = start.startswith(_PICKLE) or start[257:262] == _TAR
                return None if older and not checksums else _NOT_ONE
            return _damage_of_zip(file)
    except OSError as error:
        if error.errno == errno.EIO:
            return f"the disk cannot read it ({error.strerror})"
        raise
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, LookupError, OverflowError, struct.error) as error:
        return f"cut off, or not what was written ({error})"


def _damage_of_zip(file: BinaryIO) -> str | None:
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as members:
        parts = members.infolist()
        if any(part.filename.endswith(_SCRIPT) for part in parts):
            return "it is a TorchScript archive; save the network's state_dict() instead"
        # One that is marked as a folder is not read by torch, which then returns whatever is in memory.
        if any(part.is_dir() or part.external_attr & _FOLDER for part in parts):
            return "one of its parts is marked as a folder"
        packed = any(p.compress_type != zipfile.ZIP_STORED or p.compress_size != p.file_size for p in parts)
        if packed or sum(part.file_size for part in parts) > size:
            return "its parts are packed, or said to be larger than the file: torch.save writes none of these"
        changed = members.testzip()
    return None if changed is None else f"the checksum of its part {changed} differs"


def _in_words(path: Path, what: str, said: str) -> WeightsError:
    if "legacy .tar" in said:
        return WeightsError(
            f"{path} is in the tar format of torch before 0.4, which is not read safely. Load it with the torch that "
            "it was made with and save it again with torch 1.6 or later."
        )
    found = _OBJECT.search(said)
    if found is not None:
        return MoreThanWeightsError(path, found[1])
    return WeightsError(
        f"{path} cannot be read as {what}: it is cut off or damaged, or another program wrote it. Copy or fetch it "
        "again."
    )


def _tensors(content: object) -> Iterator[Tensor]:
    """Every tensor in lists, tuples and mappings, each once: they may contain each other, and themselves."""
    waiting, known = [content], {id(content)}
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            yield one
        parts = one.values() if isinstance(one, Mapping) else one if isinstance(one, list | tuple) else ()
        for part in parts:
            if isinstance(part, Tensor | Mapping | list | tuple) and id(part) not in known:
                known.add(id(part))
                waiting.append(part)


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor lies on the CPU with a value of its own for each element."""
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
