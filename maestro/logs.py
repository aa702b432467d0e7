"""Structured logs: one line per decision, readable on a terminal, JSON otherwise. Written to stderr.

Lines about one thing carry its ids: `system`, `reprocessing`, `instance`, `delivery` (an event's key), `request`.
"""

import io
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any, Final, TextIO, cast

# structlog imports rich where it is there, 4 MB in every process, to draw tracebacks; here they are text.
_RICH: Final = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]  # that is how an import is refused
import structlog  # noqa: E402 - while rich is refused

if _RICH is None:
    del sys.modules["rich"]
else:
    sys.modules["rich"] = _RICH

from maestro.settings.model import LogSettings  # noqa: E402 - behind what is above

#: One mapping rather than one variable per id, as structlog has it: it is set for every call to a sibling.
_IDS: Final[ContextVar[Mapping[str, str]]] = ContextVar("ids", default={})  # noqa: B039 - never changed in place

#: Characters of a text that a line shows; of what an exception says it shows all.
SHOWN: Final = 4_000
#: What steers a terminal, begins a line for some who read it, or turns the order of what is shown.
_STEERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_JSON: Final = structlog.processors.JSONRenderer(ensure_ascii=False)


class correlated:  # noqa: N801 - used as a context manager; a class, for a generator costs four times as much
    """Have every line inside carry `ids`, from any logger; also lines of tasks and timers that are started inside."""

    __slots__ = ("_ids", "_token")

    def __init__(self, **ids: str) -> None:
        self._ids = ids
        self._token: Token[Mapping[str, str]] | None = None

    def __enter__(self) -> None:
        around = _IDS.get()
        self._token = _IDS.set({**around, **self._ids} if around else self._ids)

    def __exit__(self, *_: object) -> None:
        assert self._token is not None, "entered"
        _IDS.reset(self._token)


def carry(ids: Mapping[str, str]) -> None:
    """Have every line of this task carry these ids from here on, and no others.

    For a coroutine that is a task's own: nothing is put back, so nobody above it may have ids.
    """
    _IDS.set(ids)


def _cut(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut what is too long of a line's texts: an id from outside has no bound of its own everywhere."""
    for name, value in line.items():
        if isinstance(value, str) and len(value) > SHOWN and name != "exception":
            line[name] = f"{value[:SHOWN]}…"
    return line


def with_ids(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the ids; what the line says itself wins."""
    for name, value in _IDS.get().items():
        line.setdefault(name, value)
    return line


def _escaped(text: str) -> str:
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape_event(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what an event's text may have from outside; the console's renderer does so for values only."""
    line["event"] = _escaped(str(line["event"]))
    return line


def _as_json(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
    """Render a line as JSON, with escapes also for what JSON lets stand in a text."""
    return _escaped(str(_JSON(logger, method, line)))


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
    renderers: list[structlog.typing.Processor] = (
        [_escape_event, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())] if console else [_as_json]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            with_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _cut,
            *renderers,
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
