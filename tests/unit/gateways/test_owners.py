import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from maestro.gateways import owners as owners_module
from maestro.gateways.owners import Owners
from maestro.store.base import StoreAway
from tests.unit.http.conftest import eventually


@dataclass
class Stored:
    known: Mapping[str, str] = field(default_factory=dict)
    away: bool = False
    reads: int = 0

    async def owners(self) -> Mapping[str, str]:
        self.reads += 1
        if self.away:
            raise StoreAway("away")
        return self.known


def test_before_the_store_was_read_nothing_is_known() -> None:
    owners = Owners()
    assert (owners.seen, owners.systems(), owners.of("sysA")) == (False, (), "")
    owners.see({"sysB": "", "sysA": "one"})
    assert (owners.seen, owners.systems()) == (True, ("sysA", "sysB"))
    assert (owners.of("sysA"), owners.of("sysB"), owners.of("sysC")) == ("one", "", "")
    assert owners.knows("sysB")
    assert not owners.knows("sysC")


async def test_the_store_is_read_again_soon_when_the_hint_was_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners_module, "EVERY", 60.0)
    monkeypatch.setattr(owners_module, "SOONEST", 0.01)
    owners, stored = Owners(), Stored({"sysA": "one"}, away=True)
    keeping = asyncio.create_task(owners.keep(stored))
    await eventually(lambda: stored.reads == 1)
    assert not owners.seen
    stored.away = False
    owners.read_sooner()
    await eventually(lambda: owners.of("sysA") == "one")
    stored.known = {"sysA": "two"}
    owners.read_sooner()
    await eventually(lambda: owners.of("sysA") == "two")
    assert stored.reads == 3
    keeping.cancel()
