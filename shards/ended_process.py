"""Say in words how a child process ended that should not have ended."""

import signal

TRY_AGAIN = (
    "out of memory, perhaps. Run the same command again (with fewer --workers, if it was memory): what is finished is "
    "kept."
)
"""What to do where it is not known what ended a process."""


def how_it_ended(code: int) -> str:
    """`by signal SIGKILL` or `with exit status 3`, from an exit code as subprocess and multiprocessing give it."""
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
