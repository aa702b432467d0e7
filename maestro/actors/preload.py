"""What the actors need is imported here, once, before the fork: they share it, and start in milliseconds.

Measured with an HTTP client imported after the fork: the throughput of 50 systems fell by a third. What only some
installations need is left out of the others: each import makes every fork dearer.
"""

import importlib
from collections.abc import Iterator
from contextlib import suppress

from maestro.actors.messages import Factories
from maestro.settings.model import Settings

_LIBRARIES = ("pika", "tinydb", "orjson", "sqlite3", "structlog", "uvloop")


def preload(factories: Factories) -> None:
    """Import the services and the libraries they use.

    Raises:
        ImportError: a factory's module is missing.
    """
    for factory in (factories.ingress, factories.cascade, factories.system):
        importlib.import_module(factory.partition(":")[0])
    for library in _LIBRARIES:
        with suppress(ModuleNotFoundError):  # a library that is not installed is not used
            importlib.import_module(library)


def preload_for(settings: Settings) -> None:
    """Import what these settings make necessary."""
    for module in _wanted(settings):
        importlib.import_module(module)


def _wanted(settings: Settings) -> Iterator[str]:
    platform = settings.platform
    siblings = (platform.apicore, platform.discovery, platform.process_memory, platform.event_manager)
    if platform.domain_url.startswith("https:") or any(each.scheme == "https" for each in siblings):
        yield "maestro.platform.https"
    if settings.store.url.get_secret_value():
        yield "maestro.store.postgres.stores"
    if settings.webhooks.urls:
        yield "maestro.webhooks.sender"
