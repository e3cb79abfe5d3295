"""Look for some of the images before a build is planned, so that a wrong SOURCE is refused in seconds."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ingest.images.links import LinkRule, resolve
from shards.errors import DatasetError
from shards.images.png_range import spread
from shards.images.unusable_image import UnusableImage
from shards.terminal.logs import NOTE

_SHOWN = 5

_log = logging.getLogger(__name__)


def sampled(samples: pd.DataFrame) -> pd.DataFrame:
    """At most 200 rows, evenly spread over the table."""
    return samples.iloc[spread(len(samples))]


def check_images(samples: pd.DataFrame, roots: Mapping[str, Path], links: LinkRule) -> None:
    """Refuse a source of which none of 200 images is there; name the links of folders that are followed.

    samples: where, root and file of every planned row. Raises DatasetError with the places that were looked in, and for
    links that are not to be followed. Some that are missing are left to the build, which rejects and counts them.
    """
    chosen = sampled(samples)
    missing: list[str] = []
    refused: list[str] = []
    followed: dict[str, str] = {}
    for where, root, file in chosen[["where", "root", "file"]].itertuples(index=False):
        real_root = os.path.realpath(roots[root])
        try:
            found = resolve(f"{real_root}/{file}", real_root, links)
            if not Path(found.real).is_file():
                raise FileNotFoundError
            followed |= dict(found.followed)
        except UnusableImage as error:
            refused.append(f"{roots[root] / file} ({error.detail})")
        except (OSError, ValueError):
            missing.append(f"{roots[root] / file} ({where})")
    if len(refused) + len(missing) == len(chosen):
        places = [*refused, *missing]
        raise DatasetError(
            f"none of {len(chosen)} images looked for can be read; the first were looked for as "
            f"{_some(places)}. {_advice(refused)}"
        )
    if refused and not links.follow:
        raise DatasetError(f"{_some(refused)}: leave --no-follow-links out, or put the images where the links are")
    if followed:
        shown = [f"{link} -> {target}" for link, target in sorted(followed.items())]
        _log.log(NOTE, "Following links of folders: %s", _some(shown))


def _advice(refused: list[str]) -> str:
    if any("--no-follow-links" in text for text in refused):
        return "Leave --no-follow-links out, or put the images where the links are."
    if refused:
        return "Put the images there, or link the folder that holds them, as the user who builds."
    return "Unpack the images there, or link the folder that holds them, as the user who builds."


def _some(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
