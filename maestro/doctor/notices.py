"""Whether people can be told what waits for them: what a look can tell without sending anything."""

import asyncio
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site
from maestro.notify.ways import Email, ways_of
from maestro.settings.notify import ChatSettings, NotifySettings

CHECK: Final = "notices"
#: Seconds that a server may take to accept a connection.
_CONNECT: Final = 10.0
_TEST: Final = "maestro notify test"


async def check_notices(site: Site) -> list[Finding]:
    """Whether each way's server can be reached; a mail server also encrypts and takes the login."""
    settings = site.settings.notify
    ways = ways_of(settings)
    if not ways:
        return [ok(CHECK, "notify", "nobody is told what waits: no way is configured")]
    found = []
    for way in ways:
        why = await way.check() if isinstance(way, Email) else await _connected(dict(_posts(settings))[way.name])
        mend = f"look at notify.{way.name}; then {_TEST} {way.name}"
        found.append(problem(CHECK, way.name, why, mend) if why else ok(CHECK, way.name, f"{way.shown} can be reached"))
    if not site.settings.http.public_url:
        message = "http.public_url is not set: notices have no links"
        found.append(warning(CHECK, "links", message, "set http.public_url to where people open the console"))
    return found


def _posts(settings: NotifySettings) -> Iterator[tuple[str, ChatSettings]]:
    yield from (("slack", settings.slack), ("teams", settings.teams), ("webhook", settings.webhook))


async def _connected(chat: ChatSettings) -> str:
    """Connect to the URL's server and say nothing. Return why that is not possible, or the empty string."""
    parts = urlsplit(chat.url.get_secret_value())
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    where = f"{parts.hostname}:{port}"
    try:
        async with asyncio.timeout(_CONNECT):
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure or None)
            writer.close()
    except TimeoutError:
        return f"{where}: no connection within {_CONNECT:g} s"
    except OSError as error:
        return f"{where}: {error.strerror or error}"
    return ""
