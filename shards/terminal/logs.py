"""Show the library's log messages at the terminal. The command line installs the one handler; modules only log."""

import contextlib
import logging
from collections.abc import Iterator

import click

NOTE = 25
"""Level of messages that a person should see on stderr and that are no warnings, between INFO and WARNING."""

_PACKAGES = ("shards", "ingest", "training", "evaluation")


class _TerminalHandler(logging.Handler):
    """INFO as a line of stdout, NOTE as a line of stderr, and from WARNING on the same with "Warning: " before it."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            message = f"Warning: {message}"
        click.echo(message, err=record.levelno > logging.INFO)


@contextlib.contextmanager
def log_to_terminal() -> Iterator[None]:
    """Show the messages of this project's packages until the block ends. A block inside another changes nothing."""
    loggers = [logging.getLogger(name) for name in _PACKAGES]
    if any(isinstance(handler, _TerminalHandler) for handler in loggers[0].handlers):
        yield
        return
    handler, levels = _TerminalHandler(), [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
