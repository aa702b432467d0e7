"""What a system is at rest under: with another version of Maestro, or other rules, it may have something to do."""

import hashlib
from typing import Final

import orjson

from maestro import __version__
from maestro.settings.model import Settings

#: The sections that what a system does follows from.
_SECTIONS: Final = ("broker", "platform", "reprocessing", "ledger", "late", "webhooks", "access", "policy")


def rest_basis(settings: Settings) -> str:
    """Name the version of Maestro and the settings that matter; empty: no system is ever passivated."""
    if not settings.actors.idle_after:
        return ""
    told = settings.model_dump(mode="json", include=set(_SECTIONS))
    digest = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"{__version__} {digest}"
