"""Follow links of folders below SOURCE, and refuse those that would leave it by accident or by intent.

A person who links the folder of the images into SOURCE wants it followed. A link of a single image that leaves SOURCE
and every followed folder is refused: an archive may hold one that points to any file of the machine.
"""

import os
import stat
from dataclasses import dataclass, field

from shards.images.unusable_image import Fault, UnusableImage


@dataclass(frozen=True)
class LinkRule:
    """Which links are followed. out: real path of the folder that is written, '' where it does not matter.

    follow: whether links of folders are followed that lead out of the root. owner: user id that such links must have.
    """

    follow: bool = True
    out: str = ""
    owner: int = field(default_factory=os.geteuid)


@dataclass(frozen=True)
class Resolved:
    """real: the path without links. followed: link and target of each folder that was entered outside of the root."""

    real: str
    followed: tuple[tuple[str, str], ...]


def resolve(path: str, real_root: str, rule: LinkRule) -> Resolved:
    """Resolve a path below `real_root` part by part. Raises UnusableImage for a link that is not followed.

    Also raises OSError where a part is missing.
    """
    inside = real_root.rstrip("/") + "/"
    if not path.startswith(inside) or {"", ".", ".."} & set(path[len(inside) :].split("/")):
        real = os.path.realpath(path)
        if not _is_below(real, real_root):
            raise UnusableImage(Fault.OUTSIDE, "it leads out by a link")
        return Resolved(real, ())
    place, followed = real_root.rstrip("/"), list[tuple[str, str]]()
    parts = path[len(inside) :].split("/")
    for number, part in enumerate(parts):
        place = f"{place}/{part}"
        status = os.lstat(place)
        if not stat.S_ISLNK(status.st_mode):
            continue
        link, target = place, os.path.realpath(place)
        if not any(_is_below(target, root) for root in (real_root, *(there for _, there in followed))):
            if number == len(parts) - 1:
                raise UnusableImage(Fault.OUTSIDE, "it leads out by a link")
            _refuse(target, real_root, status.st_uid, rule)
            followed.append((link, target))
        place = target
    return Resolved(place, tuple(followed))


def _refuse(target: str, real_root: str, owner: int, rule: LinkRule) -> None:
    """Raise UnusableImage for a link of a folder that must not be followed."""
    if not rule.follow:
        raise UnusableImage(Fault.OUTSIDE, "it leads out by a link of a folder (--no-follow-links)")
    if _is_below(real_root, target):
        raise UnusableImage(Fault.OUTSIDE, "it leads by a link to a folder that holds the source")
    if rule.out and (_is_below(target, rule.out) or _is_below(rule.out, target)):
        raise UnusableImage(Fault.OUTSIDE, "it leads by a link to the folder that is written")
    if owner != rule.owner:
        raise UnusableImage(Fault.OUTSIDE, "it leads out by a link of another user")


def _is_below(path: str, folder: str) -> bool:
    """Whether a real path is a real folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
