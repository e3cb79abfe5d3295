"""What a folder holds, so that a test can say that a command has left it as it was."""

import hashlib
import os
from pathlib import Path


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder, with the kind of entry, or the SHA-256 of a file's content."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(Path(parent) / name, folder)] = "folder"
        for name in files:
            path = Path(parent) / name
            found[os.path.relpath(path, folder)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
