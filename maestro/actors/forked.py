"""What a process that thespian forked does first: tie its life to its parent's, and undo two of thespian's habits."""

import faulthandler
import gc
import logging
import signal
from typing import Any, Final

import structlog

from maestro import logs
from maestro.actors import processes
from maestro.settings.model import LogSettings

#: thespian gives these a Python handler, under which a crash in native code would spin forever.
_FATAL: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)
#: New objects before a collection, and collections before an older generation's: the 70,000 objects of a document of
#: 20,000 units are gone through once while they are made, not fifteen times.
_COLLECT_AFTER: Final = (5_000, 20, 20)
#: The process's own logging, from before thespian swaps it for one that sends records from any thread.
_ROOT: Final = logging.root
_MANAGER: Final = logging.Logger.manager


def settle() -> None:
    """Die with the parent, die of crashes, and leave the memory shared that the parent shares."""
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    processes.die_with_forker()
    for number in _FATAL:
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable()


def own_logging(settings: LogSettings, **context: str) -> None:
    """Write this process's log itself, each line with `context`."""
    logging.root = _ROOT  # thespian has replaced it
    logging.Logger.root, logging.Logger.manager = _ROOT, _MANAGER
    logs.configure(settings)
    structlog.contextvars.bind_contextvars(**context)


def forget_sentinel(forked: Any) -> None:
    """Close the pipes by which `multiprocessing` would tell of the end of a process that was forked here.

    Nobody listens to them, and every process that is forked later inherits them, and undoes what belongs to them.
    """
    forked._popen.finalizer()  # noqa: SLF001 - no public way that leaves the process alone
