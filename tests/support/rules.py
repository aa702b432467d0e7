"""The rules without the world: a machine over a memory store, told facts and asked what it ordered.

it = Rules()
doc = it.hold("i2", "p1", "p2")
it.tell(facts.Approved(doc.id, "ana", it.ticket()))
it.run_up_to(do.SendReplay)
"""

from typing import Any, TypeVar

import orjson

from maestro.events import ReplayRef, celery_body
from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.document import Document
from maestro.rules.facts import Fact
from maestro.rules.impact import Impacted, Origin
from maestro.rules.machine import Machine
from maestro.rules.reconsidering import delivery_body, delivery_key
from maestro.rules.state import Rules as Numbers
from maestro.rules.state import System
from maestro.store.memory import MemoryStore
from maestro.system.repository import Repository

C = TypeVar("C", bound=do.Command)


def event_json(instance: str, **fields: Any) -> bytes:
    event = {"name": "sysA.persist.request", "systemId": "sysA", "instanceId": instance, "branch": "master"}
    return orjson.dumps(event | fields)


def origin(instance: str, branch: str = "master", name: str = "sysA.calculate.request") -> Origin:
    body = orjson.dumps({"name": name, "instanceId": instance})
    return Origin(Impacted(instance, branch), body, "2018-07-20T15:08:41")


class Rules:
    """One system, driven by hand. Every sibling answers what the test says, when it says so."""

    def __init__(self, store: MemoryStore | None = None, **numbers: Any) -> None:
        self.store = store or MemoryStore()
        self.numbers = Numbers(**{"ensure_finished": False} | numbers)
        self.repository = Repository(self.store, "sysA", self.numbers)
        self.machine = Machine(self.repository.load())
        self.now = 1000.0
        self.commands: list[do.Command] = []
        self.replies: dict[int, do.Reply] = {}
        self._tickets = 0

    @property
    def system(self) -> System:
        return self.machine.system

    def restart(self) -> "Rules":
        """Another life, from what is stored."""
        other = Rules(self.store, **{name: getattr(self.numbers, name) for name in self.numbers.__slots__})
        other.now = self.now
        other.tell(facts.Resumed())
        return other

    def ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def tell(self, fact: Fact, body: bytes | None = None) -> None:
        self.now += 1
        step = self.machine.handle(fact, self.now)
        if body is not None and isinstance(fact, facts.EventArrived):
            assert self.system.last_arrived is not None
            self.repository.remember_body(self.system.last_arrived.number, body)
        if isinstance(fact, facts.ReconsiderAsked) and (key := delivery_key(fact.id)) in self.system.deliveries:
            self.repository.remember_body(
                self.system.deliveries[key].number, delivery_body(self.system.documents[fact.id])
            )
        self.store.commit(self.repository.writes(step.saves), durable=True)
        for command in step.commands:
            if isinstance(command, do.Reply):
                assert command.ticket not in self.replies, "answered twice"
                self.replies[command.ticket] = command
            else:
                self.commands.append(command)

    def ask(self, kind: type, id_: str, **fields: Any) -> do.Reply | None:
        """Tell a decision; return its answer, if there is one yet."""
        ticket = self.ticket()
        self.tell(kind(id=id_, user="ana", ticket=ticket, **fields))
        return self.replies.get(ticket)

    def refused(self, kind: type, id_: str, code: Code, *words: str, **fields: Any) -> do.Reply:
        reply = self.ask(kind, id_, **fields)
        assert reply is not None
        assert reply.code is code
        for word in words:
            assert word in reply.message
        return reply

    def take(self, kind: type[C]) -> C:
        """Take the oldest command of a kind off what was ordered."""
        found = next(command for command in self.commands if isinstance(command, kind))
        self.commands.remove(found)
        return found

    def has(self, kind: type[do.Command]) -> bool:
        return any(isinstance(command, kind) for command in self.commands)

    # --- the platform ------------------------------------------------------------------------------------------

    def arrive(self, instance: str, tag: str = "") -> None:
        body = event_json(instance, tag=tag)
        fact = facts.EventArrived(f"c-{instance}", instance, "sysA.persist.request", "master", tag, ref=1)
        self.tell(fact, celery_body(f"c-{instance}", body))

    def hold(self, instance: str, *units: str, tag: str = "", **known: Any) -> Document:
        """Let an event arrive whose data impacts `units`."""
        self.arrive(instance, tag)
        return self.impact(instance, *units, tag=tag, **known)

    def impact(
        self,
        instance: str,
        *units: str,
        is_fork: bool = False,
        tag: str = "",
        name: str = "",
        started_by: bytes = b"",
        rows: int | None = None,
    ) -> Document:
        """Let the event that is being judged impact `units`."""
        found = tuple(Impacted(unit, "master") for unit in units)
        self.tell(facts.ImpactFound(self.take(do.AskImpact).token, found))
        token = self.take(do.FetchOrigins).token
        origins = tuple(map(origin, units))
        id_ = f"doc-{instance}"
        pending = event_json(instance, tag=tag, **({"name": name} if name else {}))
        self.tell(facts.OriginsFetched(token, id_, pending, started_by, origins, is_fork, rows=rows))
        return self.system.documents[id_]

    def start(self, doc: Document) -> None:
        """Let an approved document begin: told, queues filled, held commit made."""
        self.tell(facts.Notified(doc.id, self.take(do.Notify).token))
        if not doc.held_committed:
            self.tell(facts.StartImpactFound(doc.id, self.take(do.AskStartImpact).token, ()))
        self.fill(doc)
        if not doc.held_committed:
            self.tell(facts.HeldCommitted(doc.id, self.take(do.CommitHeld).token))

    def fill(self, doc: Document) -> None:
        self.tell(facts.QueuesUpdated(doc.id, self.take(do.FillQueues).token, ""))

    def replay(self, doc: Document, *impacts: str, seconds: float = 10.0) -> str:
        """Let the replay that was ordered come back and be committed; return its unit's instance."""
        self.tell(facts.ReplaySent(doc.id, self.take(do.SendReplay).token))
        unit = doc.current
        assert unit is not None
        self.now += seconds
        ref = ReplayRef(doc.id, unit.instance_id, doc.send_name(unit))
        name = f"re-{ref.send}"
        self.tell(facts.EventArrived(name, name, "x", unit.branch, "", ref, ref=1), b"{}")
        found = tuple(Impacted(one, "master") for one in impacts)
        self.tell(facts.ReplayImpactFound(doc.id, self.take(do.AskReplayImpact).token, found))
        if self.has(do.FetchReplayOrigins):
            fetch = self.take(do.FetchReplayOrigins)
            self.tell(
                facts.ReplayOriginsFetched(doc.id, fetch.token, tuple(origin(o.instance_id) for o in fetch.units))
            )
        if self.has(do.GrowQueues):
            self.tell(facts.QueuesUpdated(doc.id, self.take(do.GrowQueues).token, ""))
        self.tell(facts.ReplayCommitted(doc.id, self.take(do.CommitReplay).token))
        return unit.instance_id

    def finish(self, doc: Document) -> None:
        """Let a decided end be carried out and told."""
        self.tell(facts.QueuesUpdated(doc.id, self.take(do.CleanUpQueues).token, ""))
        self.tell(facts.Notified(doc.id, self.take(do.Notify).token))
