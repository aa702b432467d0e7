"""Shell completion of ids and systems: asked of the running Maestro, quickly, and silent when there is none."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from maestro.client.api import Maestro
from maestro.client.errors import ClientError
from maestro.client.target import DEFAULT_URL, Target, read_token

#: Seconds that somebody who pressed the tabulator waits.
_TIMEOUT: Final = 2.0


def complete_system(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Return the systems whose id begins so, each with its state."""
    with suppress(ClientError):
        systems = _maestro(ctx).systems().value
        return [(one.id, one.state) for one in systems if one.id.startswith(incomplete)]
    return []


def complete_document(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Return the documents that somebody may have to act on and whose id begins so: pending, in line, running."""
    with suppress(ClientError):
        return [(id_, text) for id_, text in _live(_maestro(ctx)) if id_.startswith(incomplete)]
    return []


def _live(maestro: Maestro) -> Iterator[tuple[str, str]]:
    for system in maestro.systems().value:
        yield from ((id_, f"pending in {system.id}") for id_ in system.pending)
        yield from ((id_, f"approved in {system.id}") for id_ in system.approved)
        if system.running is not None:
            yield system.running.id, f"{system.running.status} in {system.id}"


def _maestro(ctx: Any) -> Maestro:
    given = ctx.params if ctx is not None else {}
    url = given.get("url") or os.environ.get("MAESTRO_URL") or DEFAULT_URL
    token = given.get("token") or os.environ.get("MAESTRO_TOKEN", "")
    file = given.get("token_file") or os.environ.get("MAESTRO_TOKEN_FILE")
    credential = token or (read_token(Path(file)) if file else "")
    return Maestro(Target(url.rstrip("/"), credential, _TIMEOUT))
