"""Convert raw datasets to shards, and make phantoms. No other package imports it; it imports `shards` only.

`import ingest` loads neither torch nor DALI, nor do its worker processes.
"""

from typing import TYPE_CHECKING

from shards.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from ingest.phantom.generate import PhantomSummary, make_phantom
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"ingest.phantom.generate": ("PhantomSummary", "make_phantom")})

__all__ = ["PhantomSummary", "make_phantom"]
