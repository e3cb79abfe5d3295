"""Seal where the images of a hashed build are, so that no file of a build holds a hash and a path side by side.

A build that is killed leaves its plan, and is resumed with the same salt; without the salt nobody can read the places.
The cipher is a stream of SHAKE-256 whose key is made from the salt and a checksum of the text (HMAC-SHA256), which also
finds a wrong salt. The same text and salt give the same bytes, as all tasks must write the same plan.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

from shards.errors import DatasetError

_TAG, _BLOCK = 16, 64  # bytes; the length of a path is hidden up to a block


def seal(texts: Sequence[str], salt: bytes) -> str:
    """The texts, readable with the salt only."""
    plain = json.dumps(list(texts)).encode()
    plain += b" " * (-len(plain) % _BLOCK)
    tag = _tag(plain, salt)
    return base64.b64encode(tag + _applied(plain, tag, salt)).decode()


def unseal(sealed: str, salt: bytes | None) -> list[str]:
    """The texts again. Raises DatasetError for another salt, or none."""
    content = base64.b64decode(sealed)
    tag = content[:_TAG]
    plain = _applied(content[_TAG:], tag, salt or b"")
    if salt is None or not hmac.compare_digest(_tag(plain, salt), tag):
        raise DatasetError(
            "the places of this build's images are sealed with another salt: give the --hash-identifiers that the "
            "build was started with"
        )
    texts: list[str] = json.loads(plain)
    return texts


def _tag(plain: bytes, salt: bytes) -> bytes:
    return hmac.new(salt, b"place/" + plain, hashlib.sha256).digest()[:_TAG]


def _applied(content: bytes, tag: bytes, salt: bytes) -> bytes:
    key = hmac.new(salt, b"key of places/" + tag, hashlib.sha256).digest()
    stream = hashlib.shake_256(key).digest(len(content))
    return (int.from_bytes(content, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(content), "big")
