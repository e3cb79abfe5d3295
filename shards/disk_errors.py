"""Say in a sentence what the system did not let a command do with a file, and what to do about it."""

import errno

_SPACE = "Make space, or name a place on another disk, then run the same command again"
_ADVICE = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EIO: "Have the disk or its connection checked, then run the same command again",
    errno.ESTALE: "The file server has lost it: run the same command again, or have the mount checked",
    errno.EROFS: "Name a place that can be written",
    errno.EACCES: "See to its permissions, or name another place",
    errno.EPERM: "See to its permissions, or name another place",
    errno.ENOENT: "It, or a folder of its path, is missing or has been removed: check the path, and run it again",
    errno.EISDIR: "A file is wanted there: remove the folder, or name another place",
    errno.ENOTDIR: "A folder is wanted there: check the path",
    errno.EEXIST: "Remove it, or name another place",
    errno.ENOTEMPTY: "Remove it, or name another place",
    errno.EINVAL: "A regular file is wanted there",
    errno.ENXIO: "A regular file is wanted there",
    errno.ELOOP: "Its links lead to themselves: check the path",
    errno.ENAMETOOLONG: "Name a shorter path",
    errno.EMFILE: "Allow more open files (ulimit -n)",
    errno.ENFILE: "Allow more open files",
}


def said_plainly(error: OSError) -> str | None:
    """A sentence with the file, the system's reason and what to do.

    None for an error that is not about a file, or of another kind than a person can do something about.
    """
    advice = _ADVICE.get(error.errno) if error.errno is not None else None
    if advice is None:
        return None
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{error.strerror or error}. {advice}."


def is_full(error: OSError) -> bool:
    """Whether there is no room on the disk, or a quota is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
