"""A double of all sibling services on one loopback port: programmable, failing on demand, recording every call.

    async with RecordingSiblings() as siblings:
        siblings.impacts["i2"] = [{"instanceId": "p1", "branch": "master", "forking": False}]
        siblings.fail("domain", "commit", times=2, how=503)
        ...
        await siblings.wait_for(lambda: siblings.count("commit") == 3, timeout=5)

Service and call names are those of `maestro.platform`: discovery.impacted, process_memory.origin and .save_document
(and .find_documents, .head, .history), apicore.systems, .domain_address, .is_fork, .set_instance_status (any
`POST /core/persist`, so the registration of maps, too) and .operation, domain.commit, .entities and .mapped,
event_manager.send. A call is recorded when it arrives, also one that is then made to fail; what it
changed is in `commits`, `statuses`, `documents` and `events`, only when it was applied.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import orjson
from aiohttp import web

from maestro.settings.model import PlatformSettings, Sibling
from tests.support.platform_state import HOST, Call, PlatformState, RefusedError

__all__ = ["HOST", "Call", "Hook", "How", "RecordingSiblings", "RefusedError"]

#: An HTTP status, or: 200 with a proxy's page; the connection cut, before the answer or in its middle; no answer until
#: close; the effect, then 500.
How = int | Literal["garbage", "reset", "half", "hang", "applied_then_fail"]
Hook = Callable[[dict[str, Any]], Awaitable[None]]

_ENVIRONMENT: Final = ("APICORE", "DISCOVERY", "PROCESS_MEMORY", "EVENT_MANAGER")
#: Seconds between two looks of `wait_for` while calls come in, and while none does.
_BUSY_LOOK: Final = 0.005
_IDLE_LOOK: Final = 0.05
_FIXED: Final = {
    ("GET", "/v1.0.0/discovery/entities"): ("discovery", "impacted"),
    ("POST", "/reprocessing"): ("process_memory", "save_document"),
    ("PUT", "/reprocessing"): ("process_memory", "save_document"),
    ("GET", "/reprocessing"): ("process_memory", "find_documents"),
    ("GET", "/core/system"): ("apicore", "systems"),
    ("GET", "/core/installedApp"): ("apicore", "domain_address"),
    ("GET", "/core/processInstance"): ("apicore", "is_fork"),
    ("POST", "/core/persist"): ("apicore", "set_instance_status"),
    ("GET", "/core/operation"): ("apicore", "operation"),
    ("PUT", "/sendevent"): ("event_manager", "send"),
}
_PATTERNS: Final = (
    ("POST", re.compile(r"/instance/([^/]+)/persist"), ("domain", "commit")),
    ("GET", re.compile(r"/instance/([^/]+)/entities"), ("domain", "entities")),
    ("GET", re.compile(r"/([^/]+)/event"), ("process_memory", "origin")),
    ("GET", re.compile(r"/([^/]+)/head"), ("process_memory", "head")),
    ("GET", re.compile(r"/([^/]+)/history"), ("process_memory", "history")),
    ("GET", re.compile(r"/(maestro)/[^/]+"), ("domain", "mapped")),
)
_CALLS: Final = {*_FIXED.values(), *(call for _, _, call in _PATTERNS)}


@dataclass(slots=True)
class _Failure:
    service: str
    name: str
    left: int
    how: How
    when: Callable[[Call], bool] | None


class RecordingSiblings(PlatformState):
    """The platform around Maestro, as `contracts` describe it, on one port. Runs on the caller's event loop."""

    def __init__(self, systems: Sequence[str] = ("sysA",)) -> None:
        super().__init__(systems)
        #: Seconds each answer takes.
        self.latency: float = 0.0
        #: Seconds more that the answers of a call take, by its name. A caller that goes away does not stop its effect.
        self.slow: dict[str, float] = {}
        #: Called, in a task of its own, with each event the Event Manager accepted, after the answer is on its way.
        self.on_sendevent: Hook | None = None

        #: Every call, in the order of arrival.
        self.log: list[Call] = []
        self._by_name: defaultdict[str, list[Call]] = defaultdict(list)
        self._failures: list[_Failure] = []
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._hooks: set[asyncio.Task[None]] = set()
        self._hook_errors: list[BaseException] = []
        self._runner: web.ServerRunner | None = None

    # --- life -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen on a free port, or again on the port of before `stop`."""
        self._closing.clear()
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections and cut those there are; what was recorded stays. Twice is no error."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def close(self) -> None:
        """Stop, end the hooks still running, and raise what a hook raised."""
        await self.stop()
        for task in self._hooks:
            task.cancel()
        await asyncio.gather(*self._hooks, return_exceptions=True)
        if self._hook_errors:
            raise self._hook_errors[0]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- configuration of the Maestro under test ------------------------------------------------------------

    def environ(self) -> dict[str, str]:
        """Return the platform's environment variables that lead here."""
        found: dict[str, str] = {}
        for name in _ENVIRONMENT:
            found |= {f"{name}_SCHEME": "http", f"{name}_HOST": HOST, f"{name}_PORT": str(self.port)}
        return found

    def settings(self, **overrides: Any) -> PlatformSettings:
        """Return settings that lead here, quick to retry; `overrides` replace further fields."""
        here = Sibling(host=HOST, port=self.port)
        quick: dict[str, Any] = {
            "backoff": 0.01,
            "backoff_max": 0.05,
            "answer_timeout": 5.0,
            "tries": 3,
            "commit_settle": 1.0,
        }
        return PlatformSettings(
            apicore=here, discovery=here, process_memory=here, event_manager=here, **(quick | overrides)
        )

    # --- program and record ---------------------------------------------------------------------------------

    def fail(
        self, service: str, call: str, times: int, how: How, *, when: Callable[[Call], bool] | None = None
    ) -> None:
        """Make the next `times` such calls (for which `when` holds) fail. Several scripts are used up in turn."""
        if (service, call) not in _CALLS:
            raise ValueError(f"no such call: {service}.{call}; there are {sorted(_CALLS)}")
        self._failures.append(_Failure(service, call, times, how, when))

    def goes_away(self, service: str, how: How) -> None:
        """All calls of a service fail until `heal`."""
        for of, call in _CALLS:
            if of == service:
                self.fail(of, call, 10**9, how)

    def heal(self) -> None:
        """Forget all failures not used up."""
        self._failures.clear()

    def calls(self, name: str) -> list[Call]:
        """Return the calls of that name so far."""
        return list(self._by_name[name])

    def count(self, name: str) -> int:
        """Return how many calls of that name came so far."""
        return len(self._by_name[name])

    async def wait_for(self, predicate: Callable[[], bool], timeout: float) -> None:  # noqa: ASYNC109 - its very job
        """Return once `predicate` holds; looked at after calls came in, and now and then. Raises `TimeoutError`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not predicate():
            if loop.time() >= deadline:
                tail = ", ".join(f"{call.service}.{call.name}({call.instance_id})" for call in self.log[-10:])
                raise TimeoutError(f"not so after {timeout} s; {len(self.log)} calls, the last: {tail or 'none'}")
            self._changed.clear()
            await asyncio.sleep(_BUSY_LOOK)
            try:
                await asyncio.wait_for(self._changed.wait(), _IDLE_LOOK)
            except TimeoutError:
                continue

    # --- serving --------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        call = await self._record(request)
        if call is None:
            return web.Response(status=404, text=f"no such call: {request.method} {request.path}")
        if pause := self.latency + self.slow.get(call.name, 0.0):
            await asyncio.sleep(pause)
        how = self._failure(call)
        return self._answer(call) if how is None else await self._fail(request, call, how)

    async def _fail(self, request: web.BaseRequest, call: Call, how: How) -> web.StreamResponse:
        if how == "applied_then_fail":
            self._answer(call)
            return web.Response(status=500, text="applied, then failed")
        if how == "garbage":
            return web.Response(text="<html>502 from a proxy</html>", content_type="text/html")
        if how == "half":
            return await _half_an_answer(request)
        if how == "hang":
            await self._closing.wait()
        if how in ("hang", "reset"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return web.Response(status=int(how), body=RefusedError(f"made to fail with {how}", int(how)).body)

    async def _record(self, request: web.BaseRequest) -> Call | None:
        method, path = request.method, request.path
        query = dict(request.query)
        instance_id = query.get("instanceID") or query.get("id") or ""
        known = _FIXED.get((method, path))
        if known is None:
            for verb, pattern, name in _PATTERNS:
                if verb == method and (match := pattern.fullmatch(path)):
                    known, instance_id = name, match[1]
                    break
            else:
                return None
        body = await request.read() if request.body_exists else b""
        instance_id = query.get("instance") or instance_id
        now = asyncio.get_running_loop().time()
        call = Call(*known, method, path, query, body, now, instance_id, request.headers.get("Branch", ""))
        self.log.append(call)
        self._by_name[call.name].append(call)
        self._changed.set()
        return call

    def _failure(self, call: Call) -> How | None:
        for failure in self._failures:
            if (failure.service, failure.name) == (call.service, call.name) and (
                failure.when is None or failure.when(call)
            ):
                failure.left -= 1
                if failure.left <= 0:
                    self._failures.remove(failure)
                return failure.how
        return None

    def _answer(self, call: Call) -> web.Response:
        try:
            status, body = 200, orjson.dumps(self.answer(call))
        except RefusedError as refused:
            status, body = refused.status, refused.body
        self._changed.set()
        return web.Response(status=status, body=body, content_type="application/json")

    def _send(self, call: Call) -> dict[str, str]:
        answer = super()._send(call)
        if self.on_sendevent is not None:
            task = asyncio.get_running_loop().create_task(self._run_hook(self.on_sendevent, self.events[-1]))
            self._hooks.add(task)
            task.add_done_callback(self._hooks.discard)
        return answer

    async def _run_hook(self, hook: Hook, event: dict[str, Any]) -> None:
        try:
            await hook(event)
        except Exception as problem:  # noqa: BLE001 - kept, and raised by close()
            self._hook_errors.append(problem)


async def _half_an_answer(request: web.BaseRequest) -> web.StreamResponse:
    """Begin a good answer, and reset the connection in its middle."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'[{"instanceId": "')
    if request.transport is not None:
        request.transport.abort()
    return response
