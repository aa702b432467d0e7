"""A whole stage for one test: `maestro serve` in a process of its own, a broker, and a double of the siblings.

    async with stage(tmp_path, vhost_url) as it:
        it.siblings.impacts["i2"] = [unit("p1")]
        await it.publish(event("i2"))
        doc = await it.pending()
        await it.decide(doc, "approve")
        await it.reaches(doc, "finished")

Replays are answered by the stage's own executor, unless `it.mute` names their system: each gets a new instance
`re1`, `re2`, … whose persist event comes back with the `reprocessing` object passed through.

Tests of a theme may share a stage: each takes a `tenant`, a system of its own (see `tests.support.tenant`).
"""

import asyncio
import itertools
import os
import sys
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from maestro.broker import open_broker
from maestro.broker.base import Broker, BrokerUnavailable, Message
from maestro.broker.topology import PERSIST, SystemQueues
from maestro.events import celery_body
from maestro.ports import free_port
from maestro.settings.servers import BrokerSettings
from tests.support.siblings import RecordingSiblings

ROOT = Path(__file__).parents[2]
SYSTEM = "sysA"
#: Generous: a busy machine of two cores runs all of it at once.
PATIENCE = 30.0
#: Seconds after which Maestro takes a commit whose answer was lost for ended, where none has taken long.
COMMIT_SETTLE = 1.0
#: A start makes a handful of processes, each with its imports: on a machine that is overbooked ten
#: times that alone takes minutes.
START_PATIENCE = 240.0


def event(instance: str, system: str = SYSTEM, **fields: Any) -> dict[str, Any]:
    """Return a persist event."""
    return {
        "name": f"{system}.persist.request", "systemId": system, "instanceId": instance, "tag": f"tag-{instance}",
        "branch": "master", "scope": "execution", "timestamp": "2018-07-20T15:08:41.884268", **fields,
    }  # fmt: skip


def unit(instance: str, branch: str = "master", *, forking: bool = False) -> dict[str, Any]:
    """Return a unit as Discovery names it."""
    return {"instanceId": instance, "branch": branch, "forking": forking}


async def eventually(condition: Callable[[], Awaitable[Any]], what: str, patience: float = PATIENCE) -> Any:
    """Return what `condition` returns once it is true; fail when it is not in time."""
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        outcome = await condition()
        if outcome:
            return outcome
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not in {patience:.0f} s: {what} (last: {outcome!r})")
        await asyncio.sleep(0.02)


class Stage:
    """Maestro, its broker and its siblings."""

    def __init__(
        self, folder: Path, broker_url: str, systems: tuple[str, ...], environ: dict[str, str], token: str = ""
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.siblings = RecordingSiblings(list(systems))
        #: Systems whose replays nobody answers.
        self.mute: set[str] = set()
        self._broker_url = broker_url
        self._environ = environ
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._replays: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self.broker: Broker
        self.http: aiohttp.ClientSession
        self.process: asyncio.subprocess.Process | None = None
        self.log = folder / "maestro.log"

    # --- life --------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self.siblings.on_sendevent = self._execute
        await self.siblings.start()
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE), headers=self._headers)
        settings = BrokerSettings.model_validate(
            {"kind": "rabbitmq", "url": self._broker_url} if self._broker_url
            else {"embedded_dir": str(self.folder / "broker")}
        )  # fmt: skip
        self.broker = open_broker(settings, self.folder)
        await self.broker.start()
        await self.start()

    async def close(self) -> None:
        try:
            await self.stop()
        finally:
            await self.broker.close()
            await self.http.close()
            await self.siblings.close()

    def environ(self) -> dict[str, str]:
        broker = (
            {"MAESTRO_BROKER__URL": self._broker_url} if self._broker_url
            else {"MAESTRO_BROKER__EMBEDDED_DIR": str(self.folder / "broker")}
        )  # fmt: skip
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAESTRO_")}
        return {
            **inherited, **self.siblings.environ(), **broker, "PORT": str(self.port), "PYTHONPATH": str(ROOT),
            "MAESTRO_DATA_DIR": str(self.folder / "data"), "MAESTRO_PLATFORM__BACKOFF": "0.05",
            "MAESTRO_PLATFORM__COMMIT_SETTLE": str(COMMIT_SETTLE),
            "MAESTRO_PLATFORM__TRIES": "3", "MAESTRO_PLATFORM__SYSTEMS_REFRESH": "1", **self._environ,
        }  # fmt: skip

    async def start(self, *, wait: bool = True) -> None:
        """Start `maestro serve`, and wait until every system takes events."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "maestro.cli.main",
                "serve",
                env=self.environ(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        if wait:
            try:
                await eventually(self._ready, "maestro is ready", START_PATIENCE)
            except AssertionError as late:
                raise AssertionError(f"{late}; its log:\n{self.log.read_text()[-3000:]}") from late

    async def _ready(self) -> bool:
        assert self.process is not None
        if self.process.returncode is not None:
            raise AssertionError(f"maestro ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        try:
            if (await self.get("/readyz", ok=False))["_status"] != 200:
                return False
            served = {system["id"] for system in await self.get("/v1.0.0/systems")}
            if not served.issuperset(self.siblings.systems):
                return False
            return all([await self.takes_events(system) for system in self.siblings.systems])
        except (aiohttp.ClientError, TimeoutError, BrokerUnavailable):
            return False

    async def takes_events(self, system: str) -> bool:
        """Whether a system answers and its persist events are consumed, so that none comes back as unroutable.

        A queue may be there a moment before it is bound; it is consumed after that.
        """
        described = await self.get(f"/v1.0.0/systems/{system}", ok=False)
        if described["_status"] != 200 or not described["queues"]:
            return False
        depth = await self.broker.depth(SystemQueues(system).persist)
        return depth is not None and depth.consumers > 0

    async def stop(self) -> int | None:
        """SIGTERM; returns the exit status."""
        if self.process is None or self.process.returncode is not None:
            return None
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 15)

    async def kill(self) -> None:
        """SIGKILL the main process: what it started ends by itself."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    # --- the platform's side ------------------------------------------------------------------------------------

    async def publish(
        self, fields: dict[str, Any] | bytes, *, system: str = SYSTEM, celery_id: str | None = None
    ) -> str:
        """Publish a persist event (or a raw body) as the platform does; returns its Celery id."""
        id_ = celery_id or str(uuid.uuid4())
        body = fields if isinstance(fields, bytes) else celery_body(id_, orjson.dumps(fields))
        await self.broker.publish(PERSIST, system, Message(body, id_))
        return id_

    async def _execute(self, sent: dict[str, Any]) -> None:
        if sent.get("scope") == "reprocessing" and sent["reprocessing"]["system_id"] not in self.mute:
            await self.answer(sent)

    async def answer(self, sent: dict[str, Any], instance: str = "", **fields: Any) -> str:
        """Publish the persist event of a replay, as the platform does once it ran; returns its Celery id."""
        system = sent["reprocessing"]["system_id"]
        short = instance or f"re{next(self._replays[system])}"
        result = event(
            self.instance(system, short), system, scope="reprocessing", branch=sent["branch"],
            reprocessing=sent["reprocessing"],
        )  # fmt: skip
        return await self.publish(result | fields, system=system)

    @staticmethod
    def instance(system: str, short: str) -> str:
        """Return an instance's id: as it is for the stage's first system, else unique to the system."""
        return short if system == SYSTEM else f"{system}.{short}"

    def replays(self, system: str = SYSTEM) -> list[dict[str, Any]]:
        """The replay events the Event Manager got, in order."""
        replays = (sent for sent in self.siblings.events if sent.get("scope") == "reprocessing")
        return [sent for sent in replays if sent["reprocessing"]["system_id"] == system]

    def notifications(self, system: str = SYSTEM) -> list[str]:
        """The kinds of the notifications the Event Manager got, in order."""
        prefix = f"{system}.reprocessing."
        names = [sent.get("name", "") for sent in self.siblings.events]
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    async def queue(self, name: str) -> list[tuple[bytes, dict[str, Any]]]:
        """Look at a queue: (body, headers) of each ready message; all are given back."""
        taken = []
        while (delivery := await self.broker.get(name)) is not None:
            taken.append(delivery)
        for delivery in taken:
            self.broker.requeue(delivery)
        return [(delivery.body, dict(delivery.headers)) for delivery in taken]

    @property
    def vhost(self) -> str:
        """The broker's vhost, on RabbitMQ."""
        return self._broker_url.rpartition("/")[2]

    @property
    def queues(self) -> SystemQueues:
        """The first system's queue names."""
        return SystemQueues(SYSTEM)

    async def depth(self, name: str) -> int:
        """Ready messages of a queue; -1 without it."""
        depth = await self.broker.depth(name)
        return depth.ready if depth else -1

    # --- Maestro's HTTP -----------------------------------------------------------------------------------------

    async def get(self, path: str, *, ok: bool = True) -> Any:
        return await self._call("GET", path, None, ok=ok)

    async def post(self, path: str, body: Any = None, *, ok: bool = True) -> Any:
        return await self._call("POST", path, body, ok=ok)

    async def _call(self, method: str, path: str, body: Any, *, ok: bool) -> Any:
        """Return the decoded body; with `ok` the status must be 200, without, it is added to the body as `_status`."""
        async with self.http.request(method, self.url + path, json=body) as response:
            text = await response.read()
            answer = orjson.loads(text) if text else {}
            if ok:
                assert response.status == 200, (path, response.status, text)
                return answer
            return {"_status": response.status, "_headers": dict(response.headers)} | (
                answer if isinstance(answer, dict) else {"list": answer}
            )

    async def pending(self, system: str = SYSTEM) -> dict[str, Any]:
        """Wait for the pending reprocessing."""
        path = f"/v1.0.0/reprocessing/{system}/pending"
        documents = await eventually(lambda: self.get(path), "a reprocessing is pending")
        return documents[0]

    async def document(self, id_: str) -> dict[str, Any]:
        return await self.get(f"/v1.0.0/reprocessing/{id_}")

    async def decide(self, doc: dict[str, Any], how: str, user: str = "ana") -> dict[str, Any]:
        """approve, skip, retry or cancel."""
        return await self.post(f"/v1.0.0/reprocessing/{doc['id']}/{how}", {"user": user})

    async def reaches(self, doc: dict[str, Any], status: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until the document has a status; return it. Fails showing what became of it instead."""
        found: dict[str, Any] = {}

        async def there() -> bool:
            answer = await self.get(f"/v1.0.0/reprocessing/{doc['id']}", ok=False)
            del answer["_headers"]
            served = answer.pop("_status") == 200  # 503: its actor is being replaced
            if served:
                found.update(answer)
            return served and answer["status"] == status

        try:
            await eventually(there, f"{doc['id']} is {status}", patience)
        except AssertionError as late:
            state = await self.get(f"/v1.0.0/systems/{doc['systemId']}", ok=False)
            shown = {key: found.get(key) for key in ("status", "history", "units", "progress")}
            raise AssertionError(f"{late}\n{shown}\n{state}\n{self.log.read_text()[-3000:]}") from late
        return found

    async def metrics(self) -> list[str]:
        """Return the lines of a scrape."""
        async with self.http.get(f"{self.url}/metrics") as answer:
            return (await answer.text()).splitlines()

    async def state(self, system: str = SYSTEM) -> dict[str, Any]:
        return await self.get(f"/v1.0.0/systems/{system}")

    async def open_again(self, system: str = SYSTEM) -> dict[str, Any]:
        """Wait until the system is open and nothing is in hand."""

        async def settled() -> dict[str, Any] | None:
            state = await self.state(system)
            idle = state["state"] in ("open", "passivated") and not state["inbox"] and not state["running"]
            return state if idle else None

        return await eventually(settled, f"{system} is open")


@asynccontextmanager
async def stage(
    folder: Path, broker_url: str = "", systems: tuple[str, ...] = (SYSTEM,), token: str = "", **environ: str
) -> AsyncIterator[Stage]:
    """Set the stage; `environ` adds to Maestro's environment. Without `broker_url` the broker is embedded."""
    it = Stage(folder, broker_url, systems, environ, token)
    try:
        await it.open()
        yield it
    except BaseException as problem:
        try:
            await it.close()
        except Exception as closing:  # noqa: BLE001 - what failed first is what is wrong
            problem.add_note(f"while the stage was closed: {closing!r}")
        raise
    await it.close()
