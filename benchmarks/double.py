"""A double of all sibling services that is never the bottleneck: one process, a raw protocol, precise latency.

    python -m benchmarks.double PORT BROKER_URL

What it answers is in the instance ids. `<system>--<anything>` impacts nothing; `<system>--hold-<n>-<anything>`
impacts n instances; a replay's instance impacts `per_step` new ones while fewer than `grow_to` are known. Replays are
executed at once: the persist event of each goes to its system's queue. Each commit updates one row, which nobody else
read, and its computation read that row; that of `<system>--large-<anything>` updates `large` bytes of rows. An
instance is `finished` as soon as it is committed, or `finished_after` seconds later, or once somebody sets it so.

`/_config?latency=…`, `/_reset`, `/_state`, `/_commits` and `/_sends` are for the benchmark.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import orjson
import uvloop

from maestro import logs
from maestro.broker import open_broker
from maestro.broker.base import Message
from maestro.broker.topology import PERSIST
from maestro.events import celery_body
from maestro.settings.model import LogSettings
from maestro.settings.servers import BrokerSettings

HOST = "127.0.0.1"
_LIBC = ctypes.CDLL(None, use_errno=True)
_OK = b'{"message":"ok"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "


def response(body: bytes) -> bytes:
    return _HEAD + str(len(body)).encode() + b"\r\n\r\n" + body


NONE = response(b"[]")
OK = response(_OK)
_ROW = (
    b'{"id": "%s", "value": 10.5, "_metadata": {"type": "conta", "rid": "rid-%s", "branch": "master", '
    b'"changeTrack": "update", "instance_id": "%s", "modified_at": "2018-07-20T15:08:41.884268"}}'
)
#: Rows of a large answer are as wide as those of a domain with some dozens of columns.
_LARGE_ROW_PAD = b'"text": "' + b"x" * 100 + b'", "_metadata"'


def row(name: bytes) -> bytes:
    """Return a row that a commit updates, as Domain and Process Memory show it."""
    return _ROW % (name, name, b"writer")


def many_rows(size: int) -> bytes:
    """Return an array of different rows of about `size` bytes."""
    rows, left = [], size
    while left > 0:
        one = row(b"large-%d" % len(rows)).replace(b'"_metadata"', _LARGE_ROW_PAD, 1)
        rows.append(one)
        left -= len(one) + 1
    return b"[" + b",".join(rows) + b"]"


class _Spec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class Delay:
    """Writes answers a fixed time after they were ready, to the microsecond: event loops round up to milliseconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds = 0.0
        self._due: deque[tuple[int, asyncio.Transport, bytes]] = deque()
        self._fd = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        loop.add_reader(self._fd, self._ring)

    def write(self, transport: asyncio.Transport, answer: bytes) -> None:
        if not self.seconds:
            transport.write(answer)
            return
        self._due.append((time.monotonic_ns() + int(self.seconds * 1e9), transport, answer))
        if len(self._due) == 1:
            self._arm()

    def _ring(self) -> None:
        os.read(self._fd, 8)
        now = time.monotonic_ns()
        while self._due and self._due[0][0] <= now:
            _, transport, answer = self._due.popleft()
            if not transport.is_closing():
                transport.write(answer)
        if self._due:
            self._arm()

    def _arm(self) -> None:
        seconds, nanoseconds = divmod(self._due[0][0], 10**9)
        spec = _Spec(0, 0, seconds, nanoseconds)
        _LIBC.timerfd_settime(self._fd, 1, ctypes.byref(spec), None)  # 1: an absolute time


@dataclass
class State:
    """What the platform knows and did."""

    publish: Callable[[str, bytes, str], None]
    systems: list[str] = field(default_factory=list)
    port: int = 0
    calls: int = 0
    #: (instance, when in ns) of each commit; when each replay was sent, and its body's size.
    commits: list[tuple[bytes, int]] = field(default_factory=list)
    sends: list[int] = field(default_factory=list)
    finished: int = 0
    mirrored: int = 0
    grow_to: int = 0
    per_step: int = 20
    grown: int = 0
    executing: bool = True
    #: Seconds from a commit until the instance is `finished`; then the moments (ns) of commits are kept by instance.
    finished_after: float = 0.0
    committed_at: dict[bytes, int] = field(default_factory=dict)
    looks: int = 0
    statuses_set: int = 0
    large: bytes = NONE
    _replays: int = 0

    def reset(self) -> None:
        self.commits, self.sends = [], []
        self.calls = self.finished = self.grown = self.mirrored = self.looks = self.statuses_set = 0

    # --- the siblings ------------------------------------------------------------------------------------------

    def impacted(self, instance: str) -> bytes:
        system, _, rest = instance.partition("--")
        if rest.startswith("hold-"):
            count = int(rest.split("-")[1])
            self.grown = count
            return self._units(f"{system}--p-{rest[-16:]}", count)
        if rest.startswith("re-") and self.grown < self.grow_to:
            self.grown += self.per_step
            return self._units(f"{system}--c-{self.grown}", self.per_step)
        return NONE

    @staticmethod
    def _units(prefix: str, count: int) -> bytes:
        units = [{"instanceId": f"{prefix}-{n}", "branch": "master", "forking": False} for n in range(count)]
        return response(orjson.dumps(units))

    @staticmethod
    def origin(instance: str) -> bytes:
        system = instance.partition("--")[0]
        event = {
            "name": f"{system}.calculate.request", "systemId": system, "instanceId": instance, "tag": "origin",
            "branch": "master", "scope": "execution", "timestamp": "2018-07-20T15:08:41.884268",
            "payload": {"text": "x" * 200}, "version": "1", "image": "registry/calculate:1",
        }  # fmt: skip
        return response(orjson.dumps([event]))

    def set_statuses(self, body: bytes) -> bytes:
        for change in orjson.loads(body):
            if change.get("status") == "finished":
                self.statuses_set += 1
                self.committed_at.pop(change["id"].encode(), None)
        return OK

    def send(self, body: bytes) -> bytes:
        event = orjson.loads(body)
        if event.get("scope") == "reprocessing":
            self.sends.append(time.monotonic_ns())
            if self.executing:
                self._execute(event)
        elif event.get("name", "").endswith(".reprocessing.finished"):
            self.finished += 1
        return OK

    def _execute(self, sent: dict[str, Any]) -> None:
        self._replays += 1
        system = sent["reprocessing"]["system_id"]
        replay = sent | {"instanceId": f"{system}--re-{self._replays}", "name": f"{system}.persist.request"}
        id_ = f"replay-{os.getpid()}-{self._replays}"
        self.publish(system, celery_body(id_, orjson.dumps(replay)), id_)

    # --- one request -------------------------------------------------------------------------------------------

    def answer(self, target: bytes, body: bytes) -> bytes:  # noqa: PLR0911 - the frequent calls first
        self.calls += 1
        if target.startswith(b"/instance/"):
            instance, _, what = target[10:].partition(b"/")
            return self.commit(instance) if what == b"persist" else self.entities(instance)
        if target.startswith(b"/v1.0.0/discovery/"):
            if b"--hold-" in target or b"--re-" in target:
                return self.impacted(parse_qs(urlsplit(target.decode()).query)["instanceID"][0])
            return NONE
        if target.startswith(b"/core/processInstance?"):
            return self.instance(target)
        if target == b"/sendevent":
            return self.send(body)
        if target.endswith(b"/head"):
            return self.head(target[1:-5])
        return self._seldom(target.decode(), body)

    def commit(self, instance: bytes) -> bytes:
        now = time.monotonic_ns()
        self.commits.append((instance, now))
        if self.finished_after:
            self.committed_at[instance] = now
        return OK

    def entities(self, instance: bytes) -> bytes:
        return self.large if b"--large-" in instance else response(b"[" + row(instance) + b"]")

    @staticmethod
    def head(instance: bytes) -> bytes:
        return response(b'{"dataset": {"entities": {"conta": [' + row(instance) + b"]}}}")

    def instance(self, target: bytes) -> bytes:
        self.looks += 1
        instance = target.rpartition(b"id=")[2]
        at = self.committed_at.get(instance)
        pending = at is not None and time.monotonic_ns() - at < self.finished_after * 1e9
        return response(
            b'[{"id": "%s", "isFork": false, "status": "%s"}]' % (instance, b"running" if pending else b"finished")
        )

    def _seldom(self, target: str, body: bytes) -> bytes:
        path = urlsplit(target).path
        if path.endswith("/event"):
            return self.origin(path[1:-6])
        if path == "/core/system":
            return response(orjson.dumps([{"id": system} for system in self.systems]))
        if path == "/core/installedApp":
            return response(orjson.dumps([{"host": HOST, "port": self.port}]))
        if path == "/core/persist":
            return self.set_statuses(body)
        if path == "/reprocessing":
            self.mirrored += 1
            return OK
        return OK

    # --- the benchmark's own -----------------------------------------------------------------------------------

    def control(self, target: str, delay: Delay) -> bytes:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == "/_config":
            delay.seconds = float(query.get("latency", [delay.seconds])[0])
            self.finished_after = float(query.get("finished_after", [self.finished_after])[0])
            for name in ("grow_to", "per_step"):
                setattr(self, name, int(query.get(name, [getattr(self, name)])[0]))
            if "large" in query:
                self.large = response(many_rows(int(query["large"][0])))
            self.executing = query.get("executing", [str(int(self.executing))])[0] == "1"
            if "systems" in query:
                self.systems = query["systems"][0].split(",")
        elif path == "/_reset":
            self.reset()
        elif path == "/_commits":
            return response(b"\n".join(b"%s %d" % one for one in self.commits))
        elif path == "/_sends":
            return response(orjson.dumps(self.sends))
        facts = ("calls", "finished", "grown", "mirrored", "looks", "statuses_set")
        counts = {"commits": len(self.commits), "sends": len(self.sends)}
        return response(orjson.dumps(counts | {name: getattr(self, name) for name in facts}))


class Connection(asyncio.Protocol):
    """HTTP/1.1, as much of it as Maestro's client speaks."""

    def __init__(self, state: State, delay: Delay) -> None:
        self._state = state
        self._delay = delay
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            length = 0
            at = buffer.find(b"ontent-Length: ", 0, end)
            if at >= 0:
                length = int(buffer[at + 15 : buffer.find(b"\r", at)])
            if len(buffer) < end + 4 + length:
                return
            _, target, _ = bytes(buffer[: buffer.find(b"\r")]).split(b" ")
            body = bytes(buffer[end + 4 : end + 4 + length])
            del buffer[: end + 4 + length]
            if target.startswith(b"/_"):
                self._transport.write(self._state.control(target.decode(), self._delay))
            else:
                self._delay.write(self._transport, self._state.answer(target, body))


async def main(port: int, broker_url: str) -> None:
    loop = asyncio.get_running_loop()
    broker = open_broker(BrokerSettings.model_validate({"kind": "rabbitmq", "url": broker_url}), Path())
    await broker.start()
    running: set[asyncio.Task[None]] = set()

    def publish(system: str, body: bytes, id_: str) -> None:
        task = loop.create_task(broker.publish(PERSIST, system, Message(body, id_)))
        running.add(task)
        task.add_done_callback(running.discard)

    state = State(publish, port=port)
    delay = Delay(loop)
    server = await loop.create_server(lambda: Connection(state, delay), HOST, port, backlog=1024)
    ended = loop.create_future()
    loop.add_reader(0, lambda: ended.done() or ended.set_result(None))  # whoever started it is gone: stdin closed
    async with server:
        await ended
    await broker.close()


if __name__ == "__main__":
    logs.configure(LogSettings(level="error"))
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
