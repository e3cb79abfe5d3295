"""Convert raw datasets to shards, and draw phantoms to try everything with.

Imports `shards` only, and neither torch nor DALI, nor do its worker processes; no other package imports it.
"""

from typing import TYPE_CHECKING

from shards.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from ingest.build.command import build_shards
    from ingest.build.options import BuildShardsOptions
    from ingest.phantom.generate import PhantomSummary, make_phantom
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "ingest.build.command": ("build_shards",),
            "ingest.build.options": ("BuildShardsOptions",),
            "ingest.phantom.generate": ("PhantomSummary", "make_phantom"),
        },
    )

__all__ = ["BuildShardsOptions", "PhantomSummary", "build_shards", "make_phantom"]
