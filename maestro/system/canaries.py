"""What each sibling answered before, so that it can be asked again when it fails: its canaries.

A question to Discovery that named units needed all of Discovery's parts, so such an instance is preferred; before there
is one, the last that Discovery answered about. A few are kept of each: one that fails while an older one is answered is
no canary any more. They are stored, for an outage may last longer than this process; another system's serve as well,
when none of one's own is answered.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from maestro import logs, whole_file
from maestro.platform import Platform, SiblingError
from maestro.store.base import Put
from maestro.system.engine import Engine
from maestro.system.repository import CANARIES

#: Kept of each kind; of other systems, so many are tried.
KEPT: Final = 3
BORROWED: Final = 3
#: Seconds for which a canary of the lesser kind is good enough: each event would give another.
FRESH_FOR: Final = 600.0
#: The same for those that named units, once enough are kept: in a run each replay may give another.
UNITS_FRESH_FOR: Final = 60.0
#: Where systems of one installation show each other their canaries, below the data folder.
FOLDER: Final = "canaries"
#: Discovery's that named units; the others are called like their sibling.
WITH_UNITS: Final = "discovery.units"

_SHOWN: Final = msgspec.json.Decoder(dict[str, list[str]])


class Canaries:
    """One system's canaries."""

    def __init__(self, system_id: str, platform: Platform, engine: Engine, data_dir: Path) -> None:
        self._system_id = system_id
        self._platform = platform
        self._engine = engine
        self._folder = data_dir / FOLDER
        self._known = engine.repository.canaries()
        #: When each kind was remembered last (monotonic).
        self._at: dict[str, float] = {}
        self._log = logs.get(system=system_id)

    def answered(self, sibling: str, instance_id: str, *, units: bool = False) -> None:
        """A sibling answered about an instance; `units`: Discovery named some. Costs a write only now and then."""
        kind = WITH_UNITS if units else sibling
        known = self._known.setdefault(kind, [])
        now = time.monotonic()
        enough, fresh_for = (KEPT, UNITS_FRESH_FOR) if units else (1, FRESH_FOR)
        fresh = len(known) >= enough and now - self._at.get(kind, float("-inf")) < fresh_for
        if fresh or known[:1] == [instance_id]:
            return
        self._at[kind] = now
        self._keep(kind, [instance_id, *(one for one in known if one != instance_id)][:KEPT])

    def _keep(self, kind: str, instances: list[str]) -> None:
        self._known[kind] = instances
        self._engine.write_later([Put(CANARIES, kind, {"instances": instances})])
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            whole_file.replace(self._folder / f"{self._system_id}.json", msgspec.json.encode(self._known), sync=False)
        except OSError as problem:  # others lack a canary; this system has its own
            self._log.warning("canaries not shown to other systems", cause=str(problem))

    async def ask(self, sibling: str) -> bool | None:
        """Ask the sibling about its canaries, newest first; None when it has none that proves anything.

        Those that failed while an older one, or another system's, was answered are forgotten. Another system's answer
        of Discovery proves nothing for this system, whose own domain may be away: Discovery needs it.
        """
        if sibling == "apicore":
            return await _answers(self._platform.apicore.systems(tries=1))
        kind = WITH_UNITS if sibling == "discovery" and self._known.get(WITH_UNITS) else sibling
        own = list(self._known.get(kind, ()))
        for position, instance_id in enumerate(own):
            if await self._answers(sibling, self._system_id, instance_id):
                if position:
                    self._keep(kind, own[position:])
                return True
        for system_id, instance_id in self._borrowed(sibling):
            if await self._answers(sibling, system_id, instance_id):
                if sibling != "discovery":
                    self._keep(kind, [])
                    return True
                if own and not await self._answers("domain", self._system_id, own[0]):
                    return False
                self._keep(kind, [])
                return None
        return False if own else None

    def _borrowed(self, sibling: str) -> Iterator[tuple[str, str]]:
        """Yield other systems' canaries, the most recently shown first."""
        if sibling not in ("discovery", "process_memory"):
            return  # the Event Manager is asked nothing, and each system has a domain of its own
        files = [file for file in self._folder.glob("*.json") if file.stem != self._system_id]
        files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[:BORROWED]:
            try:
                shown = _SHOWN.decode(file.read_bytes())
            except (OSError, msgspec.MsgspecError):
                continue
            known = (shown.get(WITH_UNITS) if sibling == "discovery" else None) or shown.get(sibling)
            if known:
                yield file.stem, known[0]

    async def _answers(self, sibling: str, system_id: str, instance_id: str) -> bool:
        ask: dict[str, Callable[[], Awaitable[object]]] = {
            "discovery": lambda: self._platform.discovery.impacted(system_id, instance_id, tries=1),
            "process_memory": lambda: self._platform.process_memory.origin(instance_id, tries=1),
            "domain": lambda: self._platform.domain.footprint(system_id, instance_id, tries=1),
        }
        return await _answers(ask[sibling]())


async def _answers(call: Awaitable[object]) -> bool:
    try:
        await call
    except SiblingError:
        return False
    return True
