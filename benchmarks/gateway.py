"""A gateway of a node that owns no system: it answers lock checks by what PostgreSQL has stored, until stdin closes.

python -m benchmarks.gateway PORT URL
"""

import asyncio
import sys

import uvloop

from maestro.actors.errors import UnknownSystem
from maestro.gateways.client import ClusterClient, dialing
from maestro.gateways.items import NodeHello
from maestro.gateways.owners import Owners
from maestro.http.app import create_app
from maestro.http.server import serve_http
from maestro.messages.answers import Answer
from maestro.messages.questions import Question
from maestro.settings.model import HttpSettings
from maestro.store.postgres.lookup import SystemLookup


class Nothing:
    """The actor client of a node without systems, as far as lock checks ask it."""

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ARG002, ASYNC109
        raise UnknownSystem(system_id)

    def systems(self) -> tuple[str, ...]:
        return ()


async def main(port: int, url: str) -> None:
    lookup = SystemLookup(url, 5.0)
    owners = Owners()
    async with dialing(NodeHello("bench", "other"), owners, "") as dialers:
        client = ClusterClient(Nothing(), owners, dialers, lookup, lambda: True)  # type: ignore[arg-type]
        settings = HttpSettings(port=port)
        async with serve_http(create_app(client, settings), settings):
            ended = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().add_reader(0, lambda: ended.done() or ended.set_result(None))
            await ended
    await lookup.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
