"""Load a reader that is no part of this project: `--dataset module:Class`."""

import importlib
import sys
from pathlib import Path
from typing import cast

from ingest.archives.source import Source
from shards.errors import DatasetError

_NEEDED = ("variant", "licence", "label_names", "valid_fraction", "test_fraction", "stratify", "roots")


def open_module(dotted: str, source: Path, test_source: Path | None) -> Source:
    """A reader by module and class, looked for in the current folder and among what is installed.

    Raises DatasetError where there is none, and where it lacks what `ingest.archives.source.Source` demands.
    """
    module, _, name = dotted.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        reader = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DatasetError(
            f"--dataset {dotted}: {error}. Start the command in the folder that holds {module.split('.')[0]}, or "
            "install it; CONTRIBUTING.md shows a whole reader."
        ) from error
    opened = reader(source, test_source)
    missing = [field for field in _NEEDED if not hasattr(opened, field)]
    missing += [method for method in ("fingerprint", "read") if not callable(getattr(opened, method, None))]
    if missing:
        raise DatasetError(
            f"--dataset {dotted}: the reader has no {', '.join(missing)}; see ingest.archives.source.Source"
        )
    return cast("Source", opened)
