"""The installation that is examined: its settings, its processes, and what its Maestro says, asked once."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from maestro.actors.run_record import RecordUnreadable, RunFolder, RunRecord
from maestro.client.api import Maestro
from maestro.client.errors import NotReachable, Rejected
from maestro.client.shapes.systems import System
from maestro.client.target import Target
from maestro.settings.addresses import gateway_url
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.door import open_stores

#: Seconds that Maestro has for an answer.
TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Site:
    """One installation."""

    settings: Settings
    maestro: Maestro
    #: What the last start wrote down; None after an orderly stop.
    record: RunRecord | None
    #: Why that cannot be read; empty: it can.
    record_problem: str = ""
    #: Why the gateway gives no answer; empty when it does.
    unreachable: str = ""
    #: The gateway's refusal to tell whether all is ready, or which systems there are.
    refused: Rejected | None = None
    #: Parts that are not ready, and why.
    not_ready: dict[str, str] = field(default_factory=dict)
    #: What Maestro says of its systems; empty without an answer.
    served: tuple[System, ...] = ()
    #: Systems that have a store, as far as can be seen.
    stored: tuple[str, ...] = ()
    #: The gateway that answered is another installation's: none runs here, or its own listens elsewhere.
    elsewhere: bool = False
    #: Maestro's clock when it was asked (HTTP's `Date`; empty without an answer), and ours, in seconds since the epoch.
    date: str = ""
    asked_at: float = 0.0

    @property
    def runs(self) -> bool:
        """Whether the recorded main process lives."""
        return self.record is not None and self.record.main.alive

    @property
    def answers(self) -> bool:
        """Whether the gateway answers questions about systems."""
        return not self.unreachable and self.refused is None

    @property
    def systems(self) -> tuple[str, ...]:
        """All systems of this installation: served, configured, or stored."""
        served = () if self.elsewhere else (system.id for system in self.served)
        return tuple(sorted({*served, *self.settings.systems, *self.stored}))

    def serves(self, system_id: str) -> bool:
        """Whether the Maestro of this installation said that it serves a system."""
        return not self.elsewhere and any(system.id == system_id for system in self.served)


async def look(settings: Settings, url: str, token: str) -> Site:
    """Return the installation of these settings; `url`: its gateway, empty for the settings' own.

    Raises:
        BadTarget: the URL or the token is none.
    """
    maestro = Maestro(Target(url.rstrip("/") or gateway_url(settings.http), token, TIMEOUT))
    record, record_problem = None, ""
    try:
        record = RunFolder(settings.data_dir).read()
    except RecordUnreadable as problem:
        record_problem = str(problem)
    stored: tuple[str, ...] = ()
    with suppress(StoreError):  # then the check of the stores says why
        stored = tuple(await open_stores(settings).systems())
    not_ready: dict[str, str] = {}
    try:
        not_ready = _not_ready(maestro)
        answer = maestro.systems()
    except Rejected as refused:
        return Site(settings, maestro, record, record_problem, refused=refused, not_ready=not_ready, stored=stored)
    except NotReachable as problem:
        return Site(settings, maestro, record, record_problem, unreachable=str(problem), stored=stored)
    return Site(
        settings,
        maestro,
        record,
        record_problem,
        not_ready=not_ready,
        served=tuple(answer.value),
        stored=stored,
        elsewhere=_is_elsewhere(settings, record, maestro.target.url),
        date=answer.date,
        asked_at=time.time(),
    )


def _is_elsewhere(settings: Settings, record: RunRecord | None, url: str) -> bool:
    if record is None or not record.main.alive:
        return True
    own, asked = urlsplit(gateway_url(settings.http)), urlsplit(url)
    return asked.hostname == own.hostname and own.port not in (0, asked.port)


def _not_ready(maestro: Maestro) -> dict[str, str]:
    """Return the parts that are not ready. Raises `NotReachable`, `Rejected`."""
    try:
        maestro.ready()
    except Rejected as refused:
        problems = refused.fields.get("problems")
        if refused.status != 503:  # noqa: PLR2004 - not ready
            raise
        return {str(part): str(why) for part, why in problems.items()} if isinstance(problems, dict) else {
            "maestro": str(refused)
        }  # fmt: skip
    return {}
