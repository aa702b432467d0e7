"""Structured logs: one line per decision, readable on a terminal, JSON otherwise. Written to stderr."""

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog

from maestro.settings import LogSettings


class BestEffort(io.TextIOBase):
    """A stream that may be on a full disk, or closed: what cannot be written is lost, and nothing else with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if it is possible; returns the length of `text` in any case."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if it is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure(settings: LogSettings) -> None:
    """Set up logging for this process. Each process of Maestro calls it once, first thing."""
    level = getattr(logging, settings.level.upper())
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", BestEffort(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, force=True, format="%(levelname)s %(name)s: %(message)s"
    )


def get(**context: object) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose every line carries `context`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger.bind(**context)
