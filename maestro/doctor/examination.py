"""All checks, one after the other; one that fails itself is a finding, and the others go on."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from maestro.doctor.broker import check_broker
from maestro.doctor.clock import check_clock
from maestro.doctor.cluster import check_cluster
from maestro.doctor.files import check_files
from maestro.doctor.finding import Finding, problem
from maestro.doctor.gateway import check_gateway
from maestro.doctor.notices import check_notices
from maestro.doctor.processes import check_processes
from maestro.doctor.reprocessings import check_reprocessings
from maestro.doctor.siblings import check_siblings
from maestro.doctor.site import Site
from maestro.doctor.stores import check_disk, check_stores

#: Seconds a check may take; the stores are read whole.
_TIMEOUT: Final = 120.0
_STORES_TIMEOUT: Final = 900.0

Check = Callable[[Site], Awaitable[list[Finding]]]


async def examine(site: Site, pending_hours: float) -> list[Finding]:
    """Return what all checks found. Beside another installation's Maestro its siblings are not known."""
    checks: tuple[tuple[str, Check, float], ...] = (
        ("gateway", check_gateway, _TIMEOUT),
        ("processes", check_processes, _TIMEOUT),
        ("files", check_files, _TIMEOUT),
        ("disk", check_disk, _TIMEOUT),
        ("store", check_stores, _STORES_TIMEOUT),
        ("cluster", check_cluster, _TIMEOUT),
        ("broker", check_broker, _TIMEOUT),
        ("siblings", check_siblings, _TIMEOUT),
        ("notices", check_notices, _TIMEOUT),
        ("reprocessing", partial(check_reprocessings, pending_hours=pending_hours), _TIMEOUT),
        ("clock", check_clock, _TIMEOUT),
    )
    return [
        finding
        for name, check, timeout in checks
        if not (site.elsewhere and check is check_siblings)
        for finding in await _checked(name, check(site), timeout)
    ]


async def _checked(name: str, check: Awaitable[list[Finding]], timeout: float) -> list[Finding]:  # noqa: ASYNC109 - of the whole check
    try:
        async with asyncio.timeout(timeout):
            return await check
    except TimeoutError:
        return [
            problem(name, "check", f"not done within {timeout:g} s", "maestro doctor, once the machine is less busy")
        ]
    except Exception as error:  # noqa: BLE001 - an examination must say what it can
        return [problem(name, "check", f"could not be done: {type(error).__name__}: {error}", "maestro doctor, again")]
