"""The family of errors that reach the person at the terminal: what was found, where, what to do next."""


class CxrError(Exception):
    """Root of the project's errors. The message is one or more plain sentences; no traceback is needed."""


class DatasetError(CxrError):
    """A dataset, or what it is made from, is missing, unfinished, of another format or contradictory."""


class CorruptShardError(CxrError):
    """Bytes of a shard are not those that were written. Names the shard and, where known, the key."""


class SubsetError(CxrError):
    """A split, label, fraction or patient set that cannot be selected from a dataset."""


class ResumeError(CxrError):
    """A saved state that cannot be continued here. Says what differs and what to do."""
