"""Discovery: which finished instances new data would change."""

from collections.abc import Awaitable
from typing import Final

import msgspec

from maestro.events import MASTER
from maestro.platform.errors import WrongShapeError
from maestro.platform.target import address
from maestro.platform.transport import CallName, Transport
from maestro.rules.impact import Impacted

_IMPACTED: Final = CallName("discovery", "impacted")


class _Unit(msgspec.Struct, rename="camel", gc=False):
    instance_id: str
    branch: str | None = None
    forking: bool | None = None


_UNITS: Final = msgspec.json.Decoder(list[_Unit])


class Discovery:
    """Client of Discovery, at `base` (scheme, host and port)."""

    def __init__(self, transport: Transport, base: str) -> None:
        self._transport = transport
        self._entities = address(base, "/v1.0.0/discovery/entities")

    def impacted(
        self, system_id: str, instance_id: str, *, tries: int | None = None
    ) -> Awaitable[tuple[Impacted, ...]]:
        """Return the units whose result would change if the instance's data were persisted, as Discovery orders them.

        `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer. Never taken for "none".
            SiblingRefused: Discovery answered 4xx.
        """
        target = self._entities.asking(systemID=system_id, instanceID=instance_id)
        return self._transport.call(_IMPACTED, "GET", target, _decode, tries=tries)


def _decode(answer: bytes) -> tuple[Impacted, ...]:
    units = _UNITS.decode(answer)
    if not all(unit.instance_id for unit in units):
        raise WrongShapeError("a unit's instanceId is empty")
    return tuple(Impacted(unit.instance_id, unit.branch or MASTER, bool(unit.forking)) for unit in units)
