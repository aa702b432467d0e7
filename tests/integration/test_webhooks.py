"""Webhooks out of the whole service: signed, in order, over a crash; and a URL that is dead holds up nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from maestro.ports import free_port
from maestro.webhooks.signature import HEADER, verify
from tests.support.stage import SYSTEM, Stage, event, eventually, stage, unit

SECRET = "a secret of the test, long enough"


class Receiver:
    """Takes webhooks, and verifies each."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        verify(SECRET, body, request.headers[HEADER])
        if self.status == 200:
            self.got.append(orjson.loads(body))
        return web.Response(status=self.status)

    def kinds(self) -> list[str]:
        return [one["type"].removeprefix("reprocessing.") for one in self.got]


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook/token-in-path", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield receiver, f"http://127.0.0.1:{port}/hook/token-in-path"
    finally:
        await runner.cleanup()


async def deliveries(it: Stage) -> list[dict[str, Any]]:
    return (await it.get(f"/v1.0.0/webhooks/deliveries?systemId={SYSTEM}"))["deliveries"]


async def test_everything_is_told_in_order_and_over_a_crash(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}/dead"
    async with receiving() as (receiver, url):
        environ = {"MAESTRO_WEBHOOKS__SECRET": SECRET, "MAESTRO_WEBHOOKS__URLS": f"{url},{dead}",
                   "MAESTRO_WEBHOOKS__BACKOFF": "0.05", "MAESTRO_WEBHOOKS__BACKOFF_MAX": "0.2",
                   "MAESTRO_WEBHOOKS__TRIES": "100"}  # fmt: skip
        async with stage(tmp_path, **environ) as it:
            it.siblings.impacts["i1"] = [unit("p1")]
            await it.publish(event("i1"))
            doc = await it.pending()
            await it.decide(doc, "approve")
            await it.reaches(doc, "finished")

            async def all_told() -> bool:
                return receiver.kinds() == ["pending", "decided", "finished"]

            await eventually(all_told, "all is told")
            assert receiver.got[1]["reprocessing"]["user"] == "ana"
            assert {one["systemId"] for one in receiver.got} == {SYSTEM}
            assert len({one["id"] for one in receiver.got}) == 3

            receiver.status = 503
            it.siblings.impacts["i2"] = [unit("p2")]
            await it.publish(event("i2"))
            second = await it.pending()
            await it.decide(second, "skip")
            await it.open_again()  # nothing waits for a webhook

            async def refused() -> bool:
                log = await deliveries(it)
                return any(one["problem"] == "status 503" for one in log)

            await eventually(refused, "the refusal is logged")
            log = await deliveries(it)
            assert [one["outcome"] for one in log if "/dead" not in one["url"]].count("delivered") == 3
            assert not any("token-in-path" in one["url"] or "dead" in one["url"] for one in log)
            assert any(one["problem"] == "ClientConnectorError" for one in log)

            await it.kill()
            receiver.status = 200
            await it.start()

            async def rest_told() -> bool:
                return receiver.kinds()[3:] == ["pending", "decided"]

            await eventually(rest_told, "what was not told before the crash is told after it")
            assert SECRET not in it.log.read_text()
            assert "token-in-path" not in it.log.read_text()
            await asyncio.sleep(0)
