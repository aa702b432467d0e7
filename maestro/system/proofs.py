"""Proofs of a commit: the rows that carry its instance, or that it would create none (semantics: The commit).

Rows are asked for through a map of Maestro's own in the domain, one per type of row, registered at API core when a
row of that type is first seen. API core and Domain take some seconds to know a new map.
"""

import re
from datetime import UTC
from typing import Final

from maestro import logs
from maestro.platform import Platform, SiblingError, SiblingRefused
from maestro.rules.doubt import Finding
from maestro.rules.impact import parse_timestamp
from maestro.store.base import Put
from maestro.system.engine import Engine

PROOF_MAPS: Final = "proof_maps"
CREATE: Final = "create"
DESTROY: Final = "destroy"
#: Types of rows of one commit that are asked for, at most: all rows of a commit are of one transaction.
TYPES: Final = 8
#: What can be a type's name in a map, and in a path.
_TYPE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")


class Proofs:
    """Looks for proofs in one system's domain."""

    def __init__(self, system_id: str, platform: Platform, engine: Engine, *, use_map: bool) -> None:
        self._system_id = system_id
        self._platform = platform
        self._engine = engine
        self._use_map = use_map
        self._log = logs.get(system=system_id)
        #: Types whose map was registered by this life.
        self._registered: set[str] = set()

    async def look(self, instance_id: str) -> Finding:
        """Return what Domain says of an instance's data now."""
        domain = self._platform.domain
        try:
            changes = await domain.changes(self._system_id, instance_id)
        except SiblingRefused:
            return Finding.UNKNOWN
        except SiblingError as problem:
            # 500 is Domain's own answer, perhaps about this instance only.
            return Finding.UNKNOWN if problem.cause.startswith("answered 500") else Finding.SILENT
        if not changes:
            return Finding.HARMLESS_NO_ROWS  # there is nothing that could have been made
        created = {type_ for type_, tracks in changes.items() if CREATE in tracks}
        if not self._use_map:
            return Finding.UNPROVABLE if created else Finding.HARMLESS
        return await self._look_at_rows(changes, created, instance_id)

    async def _look_at_rows(self, changes: dict[str, set[str]], created: set[str], instance_id: str) -> Finding:
        """Return what the rows say: of types with new rows first, for these prove by their absence."""
        written = [type_ for type_, tracks in changes.items() if tracks != {DESTROY} and _TYPE.fullmatch(type_)]
        usable = sorted(written, key=lambda type_: type_ not in created)[:TYPES]
        try:
            found = {type_: await self._has_rows(type_, instance_id) for type_ in usable}
        except SiblingError:
            return Finding.SILENT
        if True in found.values():
            return Finding.ROWS
        if not created:
            return Finding.HARMLESS_NO_ROWS if False in found.values() else Finding.HARMLESS
        if any(found.get(type_) is False for type_ in created):
            return Finding.NO_ROWS
        return Finding.NO_MAP if created & found.keys() else Finding.UNPROVABLE

    async def began(self, instance_id: str) -> float | None:
        """Return when the instance began, in seconds since the epoch; None: it is not known."""
        try:
            origin = await self._platform.process_memory.origin(instance_id, tries=1)
        except SiblingError:
            return None
        parsed = parse_timestamp(origin.timestamp) if origin is not None else None
        return parsed[0].replace(tzinfo=UTC).timestamp() if parsed is not None else None

    async def register(self, type_: str) -> None:
        """Have the map know a type of rows. Once: a map that is registered twice would be two."""
        if type_ in self._registered or self._engine.known(PROOF_MAPS, type_):
            return
        self._registered.add(type_)
        try:
            await self._platform.apicore.register_map(self._system_id, type_)
        except SiblingError as problem:
            self._registered.discard(type_)
            self._log.warning("map for proofs not registered", type=type_, cause=str(problem))
            return
        self._engine.write_later([Put(PROOF_MAPS, type_, {"registered": True})])
        self._log.info("map for proofs registered", type=type_)

    async def _has_rows(self, type_: str, instance_id: str) -> bool | None:
        """Return whether rows of a type carry the instance; None: the map is no answer (yet)."""
        try:
            return await self._platform.domain.has_rows(self._system_id, type_, instance_id)
        except SiblingRefused:
            await self.register(type_)
            return None
