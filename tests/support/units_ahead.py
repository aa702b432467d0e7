"""An engine over a store, and a document that is large enough for its units to be stored before it opens."""

from collections.abc import Iterable

from maestro.rules import facts
from maestro.rules.commands import Command, FetchOrigins
from maestro.rules.impact import Impacted, Origin, replay_order
from maestro.rules.machine import Machine
from maestro.rules.state import Rules
from maestro.rules.step import Save
from maestro.store.base import Store
from maestro.system.engine import Engine
from maestro.system.repository import Repository
from maestro.system.units_ahead import PART

COUNT = 2 * PART + 10
#: The last one has no origin event: it is set aside.
ORIGINS = tuple(
    Origin(Impacted(f"p{n:04}", "master"), b'{"name": "x"}' if n < COUNT - 1 else b"", f"2018-07-20T15:08:{n % 60:02}")
    for n in range(COUNT)
)


class Life:
    """An engine over a store, up to the question for the origins of an event's units."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.done: list[Command] = []
        self.saves: list[Save] = []
        self.problems: list[Exception] = []
        self.repository = Repository(store, "sysA", Rules())
        self.system = self.repository.load()
        self.left = self.repository.ahead.load(store)
        self.engine = Engine(
            Machine(self.system), self.repository, store, carry_out=self.done.append,
            publish_lock=lambda _lock: None, saved=self.saves.extend, broken=self.problems.append,
        )  # fmt: skip

    def named(self) -> FetchOrigins:
        body = b'{"args":[{"instanceId":"i1","systemId":"sysA"}]}'
        self.engine.feed(facts.EventArrived("k1", "i1", "sysA.persist.request", "master", "t", ref=1), body)
        self.engine.feed(facts.ImpactFound(self.system.judging_token, tuple(one.unit for one in ORIGINS)))
        asked = self.done[-1]
        assert isinstance(asked, FetchOrigins)
        return asked

    async def store_ahead(self, origins: Iterable[Origin] = ORIGINS) -> None:
        await self.engine.store_parts(self.repository.ahead.parts("sysA", "d1", replay_order(origins)))

    def open(self, asked: FetchOrigins, origins: Iterable[Origin] = ORIGINS) -> None:
        self.engine.feed(facts.OriginsFetched(asked.token, "d1", b"{}", b"{}", tuple(origins), is_fork=False))
        self.engine.flush()
