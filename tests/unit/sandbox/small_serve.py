"""`python -m tests.unit.sandbox.small_serve`: the small Maestro as a process, in the place of `maestro serve`."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
from aiohttp import web

from maestro.broker import open_broker
from maestro.sandbox.sandbox import Addresses
from maestro.sandbox.web import Address, serve
from maestro.settings.servers import BrokerSettings
from tests.unit.sandbox.doubles import SmallMaestro

SYSTEM = "cotacoes"


def sibling(name: str) -> Address:
    return Address(os.environ[f"{name}_HOST"], int(os.environ[f"{name}_PORT"]))


async def domain() -> Address:
    url = f"{sibling('APICORE').url}/core/installedApp?filter=bySystemIdAndType&systemId={SYSTEM}&type=domain"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        [app] = await answer.json()
        return Address(app["host"], app["port"])


async def ready(_request: web.Request) -> web.Response:
    return web.Response()


async def outcome(_request: web.Request) -> web.Response:
    return web.json_response({"summary": {"pending": 0, "says": "9 values changed"}})


async def main() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    folder = os.environ["MAESTRO_BROKER__EMBEDDED_DIR"]
    broker = open_broker(BrokerSettings(embedded_dir=folder), Path(os.environ["MAESTRO_DATA_DIR"]))
    await broker.start()
    maestro = SmallMaestro(SYSTEM, broker)
    siblings = [sibling(name) for name in ("PROCESS_MEMORY", "DISCOVERY", "APICORE")]
    await maestro.start(Addresses(*siblings, await domain(), sibling("EVENT_MANAGER")))
    app = maestro.app()
    app.router.add_get("/readyz", ready)
    app.router.add_get("/v1.0.0/reprocessing/{id}/outcome", outcome)
    runner, _ = await serve(app, "127.0.0.1", int(os.environ["MAESTRO_HTTP__PORT"]))
    await stopped.wait()
    await runner.cleanup()
    await maestro.stop()
    await broker.close()


if __name__ == "__main__":
    asyncio.run(main())
