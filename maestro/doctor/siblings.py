"""Whether each sibling answers in the agreed shape. Only questions are asked, about an instance that is not there."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

import aiohttp

from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site
from maestro.platform import Platform, SiblingError, SiblingRefused
from maestro.ports import why
from maestro.settings.model import PlatformSettings, Sibling

CHECK: Final = "siblings"
#: An instance no platform has.
PROBE: Final = "maestro-doctor"
#: Seconds for an answer.
_TIMEOUT: Final = 5.0
#: Systems whose domain is asked.
_DOMAINS: Final = 50


async def check_siblings(site: Site) -> list[Finding]:
    """Whether each can be reached and answers as agreed."""
    settings = site.settings.platform
    limits = {"tries": 1, "answer_timeout": min(_TIMEOUT, settings.answer_timeout)}
    async with await Platform.open(settings.model_copy(update=limits)) as platform:
        systems = site.systems[:_DOMAINS]
        some = systems[0] if systems else PROBE
        asked: list[tuple[str, str, Awaitable[Any]]] = [
            ("apicore", settings.apicore.url, platform.apicore.systems()),
            ("discovery", settings.discovery.url, platform.discovery.impacted(some, PROBE)),
            ("process_memory", settings.process_memory.url, platform.process_memory.origin(PROBE)),
            *((f"domain of {one}", one, platform.domain.entities(one, PROBE)) for one in systems),
        ]
        calls = (_asked(service, url, call) for service, url, call in asked)
        return await asyncio.gather(*calls, _event_manager(settings))


async def _asked(service: str, url: str, call: Awaitable[Any]) -> Finding:
    try:
        await call
    except SiblingRefused as refused:
        if service == "apicore" or (service.startswith("domain") and refused.service == "apicore"):
            return problem(
                CHECK, service, f"{url}: {refused}", f"curl -sS {url}" if service == "apicore" else _install()
            )
        return ok(CHECK, service, f"{url}: answers (and knows no instance {PROBE})")
    except SiblingError as error:
        if error.cause.startswith("answered ") and service != "apicore":
            message = f"{url}: answers a question about an instance that is not there with: {error.cause}"
            return warning(CHECK, service, message, f"look at the log of {service}")
        return problem(CHECK, service, f"{url}: {error.cause}", _mend(service))
    return ok(CHECK, service, f"{url}: answers as agreed")


async def _event_manager(settings: PlatformSettings) -> Finding:
    """Whether it speaks HTTP: all that it can be asked has effects."""
    sibling: Sibling = settings.event_manager
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT, sock_connect=settings.connect_timeout)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(sibling.url) as answer:
            await answer.release()
    except aiohttp.ClientConnectorError as error:
        return problem(CHECK, "event_manager", f"{sibling.url}: {why(error.os_error)}", _mend("event_manager"))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        said = f"no answer within {_TIMEOUT:g} s" if isinstance(error, TimeoutError) else str(error)
        return problem(CHECK, "event_manager", f"{sibling.url}: {said or type(error).__name__}", _mend("event_manager"))
    return ok(CHECK, "event_manager", f"{sibling.url}: answers (it is not asked to do anything)")


def _mend(service: str) -> str:
    if service.startswith("domain"):
        return f"start the {service}, or correct its address in API core (installedApp)"
    name = service.upper()
    return f"start {service}, or correct platform.{service} ({name}_HOST, {name}_PORT): maestro config show"


def _install() -> str:
    return "install the system's domain in the platform (API core: installedApp)"
