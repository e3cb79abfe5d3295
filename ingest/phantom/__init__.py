"""Draw procedural chest radiographs in the layouts of real datasets, so that tests and the demo need no download.

Nothing here is made from, or resembles, a real patient.
"""

from ingest.phantom.generate import PhantomSummary, make_phantom

__all__ = ["PhantomSummary", "make_phantom"]
