"""Stand-ins for what the sandbox stands beside: a broker in memory, and the smallest Maestro that obeys the rules."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from maestro.broker.base import Binding, Broker, Delivery, Depth, Message, Unroutable
from maestro.broker.topology import PERSIST, SystemQueues
from maestro.events import Event, edited, parse_celery
from maestro.rules.impact import Impacted, Origin, relevant, replay_order
from maestro.sandbox.sandbox import Addresses


class MemoryBroker:
    """One exchange's worth of a broker: exact routing keys, one consumer a queue."""

    connected = True
    problem = ""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], str] = {}
        self._ready: defaultdict[str, list[Delivery]] = defaultdict(list)
        self._consumers: dict[str, Callable[[Delivery], None]] = {}

    async def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        self._consumers.clear()

    async def declare(self, bindings: Sequence[Binding], exchanges: Sequence[str] = ()) -> None:
        for binding in bindings:
            self._queues[binding.exchange, binding.pattern] = binding.queue

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        queue = self._queues.get((exchange, routing_key))
        if queue is None:
            raise Unroutable(f"no queue for {exchange}/{routing_key}")
        delivery = Delivery(queue, message.body, message.message_id, message.headers, redelivered=False, tag=None)
        if consumer := self._consumers.get(queue):
            consumer(delivery)
        else:
            self._ready[queue].append(delivery)

    async def consume(
        self, queue: str, prefetch: int, on_delivery: Callable[[Delivery], None], on_lost: Callable[[], None]
    ) -> "MemoryBroker":
        self._consumers[queue] = on_delivery
        for delivery in self._ready.pop(queue, []):
            on_delivery(delivery)
        return self

    async def cancel(self) -> None:
        self._consumers.clear()

    async def get(self, queue: str) -> Delivery | None:
        return self._ready[queue].pop(0) if self._ready[queue] else None

    def ack(self, delivery: Delivery) -> None:
        """Memory forgets by itself."""

    def requeue(self, delivery: Delivery) -> None:
        self._ready[delivery.queue].append(delivery)

    async def purge(self, queue: str) -> int:
        return len(self._ready.pop(queue, []))

    async def depth(self, queue: str) -> Depth | None:
        return Depth(len(self._ready[queue]), int(queue in self._consumers))


class SmallMaestro:
    """Judges, holds, replays one by one: flows 1 to 3 in memory, for one system, nothing ever failing."""

    def __init__(self, system: str, broker: Broker, *, forgets: str = "") -> None:
        self.system = system
        self.broker = broker
        #: The process (event name) whose replays are left out: a Maestro that breaks I5.
        self.forgets = forgets
        self.documents: dict[str, dict] = {}
        self.held: dict[str, Event] = {}
        self.waiting: list[Event] = []
        self.counters = dict.fromkeys(("commit", "pending", "waiting", "error", "replayed", "cascaded"), 0)
        self.locked = False
        self.replays: list[dict] = []
        self.failures: list[dict] = []
        self.handled: list[str] = []
        self.asked = 0
        self.addresses: Addresses | None = None
        self.session: aiohttp.ClientSession | None = None
        self.broken: BaseException | None = None
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._results: asyncio.Queue[Event] = asyncio.Queue()
        self._judging = asyncio.Lock()
        self._tasks: set[asyncio.Task] = set()

    async def start(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self.session = aiohttp.ClientSession()
        self._spawn(self._judge_all())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.session.close()
        if self.broken:
            raise self.broken

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1.0.0/gateway/{system}/proceed", self._proceed),
                web.post("/v1.0.0/handler/persist", self._handle),
                web.get("/v1.0.0/reprocessing/{system}/pending", self._pending),
                web.get("/v1.0.0/reprocessing/{system}/find", self._find),
                web.post("/v1.0.0/reprocessing/failure", self._failure),
                web.get("/v1.0.0/reprocessing/{id}", self._document),
                web.post("/v1.0.0/reprocessing/{id}/{decision}", self._decide),
                web.get("/v1.0.0/systems/{system}", self._status),
            ]
        )
        return app

    @property
    def blocked(self) -> bool:
        blocking = ("pending_approval", "approved", "running")
        return any(document["status"] in blocking for document in self.documents.values())

    # --- flow 1

    async def _judge_all(self) -> None:
        while True:
            event = await self._inbox.get()
            if event.reprocessing is not None:
                self._results.put_nowait(event)
            else:
                self.counters["waiting"] += bool(self.blocked or self.waiting)
                self.waiting.append(event)
                await self._drain()

    async def _drain(self) -> None:
        async with self._judging:
            while self.waiting and not self.blocked:
                await self._judge(self.waiting[0])
                self.waiting.pop(0)

    async def _judge(self, event: Event) -> None:
        units = relevant(
            await self._impacted(event), own_instance=event.instance_id, on_master=event.branch == "master"
        )
        if not units:
            await self._persist(event.instance_id)
            return
        [instance] = await self._get(
            f"{self.addresses.api_core.url}/core/processInstance?filter=byId&id={event.instance_id}"
        )
        origins = replay_order([await self._origin(unit) for unit in units])
        document = {
            "id": str(uuid.uuid4()),
            "tag": event.tag,
            "branch": event.branch,
            "history": [],
            "events": [],
            "status": "pending_approval",
            "forking": instance["isFork"],
        }
        self._add(document, origins)
        self.documents[document["id"]] = document
        self.held[document["id"]] = event
        if instance["isFork"]:
            self._become(document, "running_without_lock", "platform:open_branch")
            self._spawn(self._reprocess(document))

    # --- flow 3

    async def _reprocess(self, document: dict) -> None:
        await self._notify(document, "starting")
        with_lock = document["status"] != "running_without_lock"
        if with_lock:
            self._become(document, "running")
            self.locked = True
        held = self.held[document["id"]]
        await self._persist(held.instance_id)
        outstanding = list(document["events"])
        while outstanding:
            event = outstanding.pop(0)
            if event["name"] != self.forgets:
                outstanding += await self._replay(document, event, outstanding)
        self._become(document, "finished")
        self.locked = False
        await self._notify(document, "finished")
        await self._drain()

    async def _replay(self, document: dict, event: dict, outstanding: list[dict]) -> list[dict]:
        unit = (event["instanceId"], event["branch"])
        reference = {"id": document["id"], "instance_id": unit[0], "system_id": self.system, "send": str(uuid.uuid4())}
        send = orjson.loads(
            edited(orjson.dumps(event), {"scope": "reprocessing", "reprocessing": reference}, ("instanceId", "tag"))
        )
        self.replays.append(send)
        await self._send_event(send)
        result = await self._results.get()
        assert (result.reprocessing.id, result.reprocessing.instance_id) == (document["id"], unit[0])
        on_master = result.branch == "master" == document["branch"]
        units = relevant(
            await self._impacted(result), own_instance=result.instance_id, on_master=on_master, own_unit=unit
        )
        known = {(other["instanceId"], other["branch"]) for other in outstanding}
        new = replay_order([await self._origin(unit) for unit in units if unit.key not in known])
        self.counters["cascaded"] += len(new)
        added = self._add(document, new)
        await self._persist(result.instance_id)
        self.counters["replayed"] += 1
        return added

    def _add(self, document: dict, origins: Sequence[Origin]) -> list[dict]:
        events = [{**orjson.loads(origin.event), "branch": origin.unit.branch} for origin in origins]
        document["events"] += events
        return events

    # --- siblings

    async def _impacted(self, event: Event) -> list[Impacted]:
        found = await self._get(
            f"{self.addresses.discovery.url}/v1.0.0/discovery/entities?systemID={self.system}"
            f"&instanceID={event.instance_id}"
        )
        return [Impacted(unit["instanceId"], unit["branch"], unit["forking"]) for unit in found]

    async def _origin(self, unit: Impacted) -> Origin:
        [event] = await self._get(f"{self.addresses.process_memory.url}/{unit.instance_id}/event")
        return Origin(unit, orjson.dumps(event), event["timestamp"])

    async def _persist(self, instance: str) -> None:
        async with self.session.post(f"{self.addresses.domain.url}/instance/{instance}/persist") as answer:
            assert answer.status == 200
            assert "ok" in await answer.text()
        self.counters["commit"] += 1

    async def _notify(self, document: dict, what: str) -> None:
        name = f"{self.system}.reprocessing.{what}"
        event = {"name": name, "systemId": self.system, "payload": {"reprocessing": document}}
        async with self.session.put(f"{self.addresses.event_manager.url}/sendevent", json=event) as answer:
            assert answer.status == 200 or "no subscribers" in await answer.text()

    async def _send_event(self, event: dict) -> None:
        async with self.session.put(f"{self.addresses.event_manager.url}/sendevent", json=event) as answer:
            assert answer.status == 200, await answer.text()

    async def _get(self, url: str) -> Any:
        async with self.session.get(url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    # --- gateway

    async def _proceed(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=403 if self.locked else 200)

    async def _handle(self, request: web.Request) -> web.Response:
        self.handled.append(request.query["queue"])
        await self.broker.declare([Binding(PERSIST, self.system, SystemQueues(self.system).persist)])
        await self.broker.consume(request.query["queue"], 100, self._arrived, lambda: None)
        return web.Response()

    def _arrived(self, delivery: Delivery) -> None:
        self._inbox.put_nowait(parse_celery(delivery.body).event)
        self.broker.ack(delivery)

    async def _pending(self, _request: web.Request) -> web.Response:
        return web.json_response([one for one in self.documents.values() if one["status"] == "pending_approval"])

    async def _find(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.documents.values()))

    async def _document(self, request: web.Request) -> web.Response:
        return web.json_response(self.documents[request.match_info["id"]])

    async def _failure(self, request: web.Request) -> web.Response:
        self.failures.append(await request.json())
        return web.json_response({"message": "ok"})

    async def _decide(self, request: web.Request) -> web.Response:
        document = self.documents[request.match_info["id"]]
        user = (await request.json())["user"]
        if request.match_info["decision"] == "skip":
            self._become(document, "skipped", user)
            self._spawn(self._drain())
        else:
            self._become(document, "approved", user)
            self._spawn(self._reprocess(document))
        return web.json_response(document)

    async def _status(self, _request: web.Request) -> web.Response:
        state = "running" if self.locked else "pending" if self.blocked else "draining" if self.waiting else "open"
        return web.json_response(
            {"state": state, "waiting": len(self.waiting), "lock": None, "counters": self.counters}
        )

    def _become(self, document: dict, status: str, user: str = "") -> None:
        document["status"] = status
        document["history"].append({"status": status, "user": user})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task) -> None:
        if not task.cancelled() and task.exception():
            self.broken = task.exception()
