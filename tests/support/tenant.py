"""One system of a shared stage, seen alone: short instance names in, only its own calls and commits out.

tenant = await new_tenant(it)
tenant.impacts("i2", unit("p1"))
await tenant.publish("i2")
doc = await tenant.approved("i2")
"""

import itertools
from typing import Any

import orjson

from maestro.broker.topology import SystemQueues
from tests.support.platform_state import Call
from tests.support.siblings import How
from tests.support.stage import PATIENCE, Stage, event, eventually

_numbers = itertools.count(1)
JSON = dict[str, Any]


class Tenant:
    """A system that no other test uses."""

    def __init__(self, it: Stage, system: str) -> None:
        self.it = it
        self.system = system
        self.siblings = it.siblings
        self.queues = SystemQueues(system)

    # --- names ---------------------------------------------------------------------------------------------------

    def id(self, short: str) -> str:
        """Return the full id of an instance."""
        return self.it.instance(self.system, short)

    def short(self, instance: str) -> str:
        """Return the short name of an instance of this system."""
        return instance.removeprefix(self.id(""))

    def event(self, short: str, **fields: Any) -> JSON:
        """Return a persist event."""
        return event(self.id(short), self.system, **fields)

    def owns(self, call: Call) -> bool:
        """Whether a call is about this system."""
        return self.system.encode() in call.body or any(
            self.system in text for text in (call.path, *call.query.values())
        )

    # --- the platform --------------------------------------------------------------------------------------------

    def impacts(self, short: str, *units: JSON) -> None:
        """Let Discovery say that an instance impacts these units (of short names)."""
        self.siblings.impacts[self.id(short)] = [one | {"instanceId": self.id(one["instanceId"])} for one in units]

    def fail(self, service: str, call: str, times: int, how: How, instance: str = "") -> None:
        """Make this system's next such calls fail; of one `instance`, or all."""
        wanted = self.id(instance) if instance else ""
        self.siblings.fail(
            service, call, times, how,
            when=lambda made: self.owns(made) and (not wanted or wanted in made.path + made.instance_id),
        )  # fmt: skip

    async def publish(self, short: str, *, celery_id: str | None = None, **fields: Any) -> str:
        """Publish a persist event; returns its Celery id."""
        return await self.it.publish(self.event(short, **fields), system=self.system, celery_id=celery_id)

    async def publish_all(self, *shorts: str) -> None:
        """Publish several, in order."""
        for short in shorts:
            await self.publish(short)

    @property
    def commits(self) -> list[str]:
        """Short names of the committed instances, in order."""
        own = (name for name in self.siblings.commits if name.startswith(self.id("")))
        return [self.short(name) for name in own]

    async def commits_are(self, *shorts: str) -> None:
        """Wait until exactly these are committed, in this order."""
        wanted = list(shorts)
        try:
            await self.siblings.wait_for(lambda: len(self.commits) >= len(wanted), PATIENCE)
        except TimeoutError:
            raise AssertionError(f"committed {self.commits}, not {wanted}") from None
        assert self.commits == wanted, f"committed {self.commits}, not {wanted}"

    def calls(self, name: str) -> list[str]:
        """Short names of the instances that calls of a name were about, in order."""
        return [self.short(call.instance_id) for call in self.siblings.calls(name) if self.owns(call)]

    def status_of(self, short: str) -> str | None:
        """Return the status text API core was told of an instance last."""
        return self.siblings.statuses.get(self.id(short))

    def replays(self) -> list[str]:
        """Short names of the units that were sent, in order."""
        return [self.short(sent["reprocessing"]["instance_id"]) for sent in self.it.replays(self.system)]

    async def sent(self, count: int) -> JSON:
        """Wait until so many replays were sent; return the last one. A call repeated after a crash is one send."""
        await self.siblings.wait_for(lambda: len(self.sends()) >= count, PATIENCE)
        return self.sends()[count - 1]

    def sends(self) -> list[JSON]:
        """The replays that were sent, in order, each once however often its call was repeated."""
        return list({sent["reprocessing"]["send"]: sent for sent in self.it.replays(self.system)}.values())

    def notifications(self) -> list[str]:
        """The kinds of the notifications the Event Manager got, in order."""
        return self.it.notifications(self.system)

    def error_events(self) -> list[JSON]:
        """The events that tell of a persist event that failed."""
        own = (sent for sent in self.siblings.events if sent.get("systemId") == self.system)
        return [sent for sent in own if sent.get("name", "").endswith(".error")]

    # --- Maestro -------------------------------------------------------------------------------------------------

    async def pending(self) -> JSON:
        """Wait for the pending reprocessing."""
        return await self.it.pending(self.system)

    async def approved(self, short: str) -> JSON:
        """Publish an event, wait until it is pending, approve it."""
        await self.publish(short)
        return await self.it.decide(await self.pending(), "approve")

    async def ended(self, doc: JSON, status: str) -> JSON:
        """Wait for the document's end and its clean-up: nothing queued, unlocked, the Event Manager told."""
        found = await self.it.reaches(doc, status)
        news = "finished" if status == "finished" else "droping"
        await eventually(lambda: self._told(news), f"{news} is sent")
        for name in (self.queues.events, self.queues.control, self.queues.reprocessings):
            await self.depth_is(name, 0)
        assert (await self.proceed())["_status"] == 200
        return found

    async def _told(self, news: str) -> bool:
        return self.notifications()[-1:] == [news]

    async def state(self) -> JSON:
        return await self.it.state(self.system)

    async def stalled_by(self, sibling: str) -> bool:
        """Whether the system says that it waits for a sibling."""
        stall = (await self.state())["stalled"]
        return stall is not None and stall["sibling"] == sibling

    async def proceed(self) -> JSON:
        return await self.it.get(f"/v1.0.0/gateway/{self.system}/proceed", ok=False)

    async def waits(self, count: int) -> JSON:
        """Wait until so many events wait; return the list of them."""

        async def there() -> bool:
            return (await self.state())["waiting"] == count

        await eventually(there, f"{count} events wait")
        return await self.it.get(f"/v1.0.0/systems/{self.system}/waiting")

    async def depth_is(self, queue: str, count: int) -> None:
        """Wait until a queue holds so many messages."""

        async def there() -> bool:
            return await self.it.depth(queue) == count

        try:
            await eventually(there, f"{queue} holds {count}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it holds {await self.it.queue(queue)}") from None

    async def errors(self, count: int = 1) -> list[tuple[bytes, JSON]]:
        """Wait for so many persist events on the error queue; return their bodies and headers."""
        await self.depth_is(self.queues.persist_error, count)
        return await self.it.queue(self.queues.persist_error)

    async def failed_documents(self, count: int = 1) -> list[JSON]:
        """Wait for so many documents on their error queue; return them."""
        await self.depth_is(self.queues.reprocessings_error, count)
        return [orjson.loads(body) for body, _ in await self.it.queue(self.queues.reprocessings_error)]

    async def open_again(self) -> JSON:
        return await self.it.open_again(self.system)


async def new_tenant(it: Stage, system: str = "") -> Tenant:
    """Install a new system, as the Event Manager does, and wait until it is served."""
    system = system or f"t{next(_numbers):03d}"
    it.siblings.systems.append(system)
    await it.post(f"/v1.0.0/handler/persist?queue=persist.{system}.queue")
    tenant = Tenant(it, system)

    async def served() -> bool:
        if not await it.takes_events(system):
            return False
        return min([await it.depth(binding.queue) for binding in tenant.queues.bindings()]) >= 0

    await eventually(served, f"{system} is served")
    return tenant
