"""Names that stay the same on every machine: sample keys, sample ids and the hashes that order patients."""

import hashlib
import re

KEY_PATTERN = re.compile(r"[A-Za-z0-9_-]+")
LONGEST_KEY = 95
"""USTAR keeps 100 characters of a name, `.json` among them."""

_READABLE = 70
_DIGITS = 20


def is_key(text: str) -> bool:
    """Whether `text` may be a sample's key. A dot would merge samples: WebDataset splits names there."""
    return KEY_PATTERN.fullmatch(text) is not None


def escaped_key(text: str, *, always: bool = False) -> str:
    """A key for any text, such as a path: the text itself where it may be a key, else a readable part and a hash.

    Characters that may not stand in a key become `_`, of which the last 70 are kept; `--` and 20 hexadecimal digits of
    the text's SHA-256 follow, so that different texts have different keys. always: escape a text that may be a key too.
    """
    if not always and is_key(text) and len(text) <= LONGEST_KEY:
        return text
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[-_READABLE:]
    return f"{readable}--{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:_DIGITS]}"


def sample_id(name: str, key: str) -> int:
    """The id of sample `key` of dataset `name`: 63 bits, non-negative, the same in every release and build."""
    return int.from_bytes(hashlib.sha256(f"{name}/{key}".encode()).digest()[:8], "big") >> 1


def patient_hash(name: str, patient_id: str, draw: int | None = None) -> str:
    """Hex SHA-256 that orders patients: for splits without a draw, for label fractions with one."""
    prefix = "" if draw is None else f"{draw}/"
    return hashlib.sha256(f"{prefix}{name}/{patient_id}".encode()).hexdigest()
