"""Images whose stored result shows little: a wrong window or range leaves few gray levels, or one level nearly alone.

They are counted and named, never rejected: a radiograph may have wide black borders.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SUSPICIOUS = "suspicious.csv"
COLUMNS = ("key", "path", "levels", "most_common", "share", "reason")

LEAST_LEVELS = 32
LARGEST_SHARE = 0.5
SHOWN = 5


@dataclass(frozen=True)
class Suspicious:
    """A stored image that shows little. path: '' where identifiers are hashed.

    levels: how many gray levels it uses. share: fraction of its pixels that are at its commonest level, most_common.
    """

    key: str
    path: str
    levels: int
    most_common: int
    share: float

    @property
    def reason(self) -> str:
        """Which of both limits it passes."""
        few = f"{self.levels} gray levels, fewer than {LEAST_LEVELS}"
        one = f"{self.share:.0%} of the pixels at gray level {self.most_common}"
        found = [few] * (self.levels < LEAST_LEVELS) + [one] * (self.share > LARGEST_SHARE)
        return "; ".join(found)

    @property
    def cells(self) -> dict[str, str]:
        """The row of suspicious.csv, by COLUMNS."""
        values = (self.key, self.path, self.levels, self.most_common, f"{self.share:.4f}", self.reason)
        return dict(zip(COLUMNS, map(str, values), strict=True))


def suspect(key: str, path: str | None, histogram: npt.NDArray[np.int64], levels: int) -> Suspicious | None:
    """The image as suspicious, None where it is not. histogram: int64 [256], its gray levels; levels: how many."""
    most_common = int(histogram.argmax())
    share = float(histogram[most_common] / histogram.sum())
    if levels >= LEAST_LEVELS and share <= LARGEST_SHARE:
        return None
    return Suspicious(key, path or "", levels, most_common, share)


def tell(names: Sequence[str], count: int) -> str:
    """The line that names the first SHOWN of `count` suspicious images by their paths or keys."""
    more = ", ..." if count > SHOWN else ""
    return (
        f"Suspicious: {count:,} with fewer than {LEAST_LEVELS} gray levels or over half of the pixels at one of them "
        f"({', '.join(names[:SHOWN])}{more}). {SUSPICIOUS} names them; look at them with `cxr-ingest preview`."
    )
