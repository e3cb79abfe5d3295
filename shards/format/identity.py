"""Names that stay the same on every machine: sample keys, sample ids and the hashes that order patients."""

import hashlib
import re

KEY_PATTERN = re.compile(r"[A-Za-z0-9_-]+")


def is_key(text: str) -> bool:
    """Whether `text` may be a sample's key. A dot would merge samples: WebDataset splits names there."""
    return KEY_PATTERN.fullmatch(text) is not None


def sample_id(name: str, key: str) -> int:
    """The id of sample `key` of dataset `name`: 63 bits, non-negative, the same in every release and build."""
    return int.from_bytes(hashlib.sha256(f"{name}/{key}".encode()).digest()[:8], "big") >> 1


def patient_hash(name: str, patient_id: str, draw: int | None = None) -> str:
    """Hex SHA-256 that orders patients: for splits without a draw, for label fractions with one."""
    prefix = "" if draw is None else f"{draw}/"
    return hashlib.sha256(f"{prefix}{name}/{patient_id}".encode()).hexdigest()
