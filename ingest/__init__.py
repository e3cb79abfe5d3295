"""Raw datasets to shards, and phantoms to try everything with. Nothing imports this package; it imports `shards` only.

`import ingest` loads neither torch nor DALI, nor do its worker processes.
"""

from typing import TYPE_CHECKING

from shards.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from ingest.phantom.generate import PhantomSummary, make_phantom
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"ingest.phantom.generate": ("PhantomSummary", "make_phantom")})

__all__ = ["PhantomSummary", "make_phantom"]
