"""What is unusual about a correction, on the sandbox with a real Maestro: a slip against a reading's own past."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from maestro.sandbox.demo.clients import Domain, EventManager, Maestro
from maestro.sandbox.demo.stage import Stage
from maestro.sandbox.demo.waiting import until
from maestro.sandbox.options import METERS_SYSTEM, BrokerKind

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

AT = "2024-03-01T12:15"
#: What the reading was corrected to, one after the other.
PAST = (3.79, 3.815, 3.821, 3.805, 3.85, 3.802)


class Played:
    """The sandbox, its Maestro, and a reading that was corrected several times and is corrected to a slip."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.maestro = Maestro(session, stage.maestro_url)
        self.domain = Domain(session, stage.services["domain"])
        self.events = EventManager(session, stage.services["event_manager"])
        self.held: dict[str, Any] = {}

    async def play(self) -> None:
        await self.writes("push.reading.request", PAST[0])
        for kwh in PAST[1:]:
            await self.writes("rectify.reading.request", kwh)
        await self.sends("hourly.total.request", {"meter": "m", "hour": AT[:13]})

        async def totalled() -> bool:
            return await self.domain.count(METERS_SYSTEM, "hourly") == 1

        await until(totalled, "the hourly total", 60)
        await self.sends("rectify.reading.request", {"meter": "m", "at": AT, "kwh": 38.02})

        async def held() -> list[dict[str, Any]] | None:
            return await self.maestro.pending(METERS_SYSTEM) or None

        [self.held] = await until(held, "the slip to be held", 60)

    async def writes(self, name: str, kwh: float) -> None:
        await self.sends(name, {"meter": "m", "at": AT, "kwh": kwh})

        async def there() -> bool:
            rows = await self.domain.rows(METERS_SYSTEM, "reading", "master")
            return [row["kwh"] for row in rows] == [kwh]

        await until(there, f"the reading to be {kwh}", 60)

    async def sends(self, name: str, payload: dict[str, Any]) -> None:
        event = {"name": name, "systemId": METERS_SYSTEM, "payload": payload, "timestamp": "2024-03-02T00:00:00"}
        assert await self.events.send(event) == ""

    async def shows(self, *arguments: str, **environ: str) -> str:
        """Run the command line."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "maestro.cli.main", *arguments, "--url", self.stage.maestro_url,
            env={**os.environ, "MAESTRO_LANGUAGE": "en", **environ}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, out
        return out.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played() -> AsyncIterator[Played]:
    async with Stage(METERS_SYSTEM, BrokerKind.EMBEDDED, os.environ) as stage, aiohttp.ClientSession() as session:
        story = Played(stage, session)
        await story.play()
        yield story


async def test_over_http_the_slip_stands_out_against_all_its_past(played: Played) -> None:
    async def known() -> dict[str, Any] | None:
        page = await played.maestro.call("GET", f"/v1.0.0/reprocessing/{played.held['id']}/unusual")
        return None if page["pending"] else dict(page)

    page = await until(known, "its past", 60)
    [value] = page["values"]
    assert (value["type"], value["field"], value["before"], value["after"]) == ("reading", "kwh", PAST[-1], 38.02)
    assert (value["verdict"], value["slipped"], value["standsOut"], page["unusual"]) == ("unusual", 1, True, 1)
    past = value["past"]
    assert (past["count"], past["low"], past["high"], past["ends"]) == (len(PAST), min(PAST), max(PAST), "")
    labels = await played.maestro.call("GET", f"/v1.0.0/systems/{METERS_SYSTEM}/labels")
    assert labels["types"]["reading"]["fields"]["kwh"]["decimals"] == 3


async def test_on_the_command_line_in_the_readers_numbers(played: Played) -> None:
    shown = await played.shows("show", played.held["id"])
    assert "1 new number stands out" in shown
    assert "LOOKS LIKE A SLIP, about 10 times the old value" in shown
    assert "UNUSUAL, " in shown
    assert f"{len(PAST)} past values, median 3.810, from 3.790 to 3.850" in shown
    [line] = [one for one in shown.splitlines() if one.startswith("Meter reading")]
    assert all(one in line for one in ("Energy", "3.802 kWh", "38.020 kWh", "+900.0 %")), line
    shown = await played.shows("show", played.held["id"], MAESTRO_LANGUAGE="pt-BR")
    assert "1 número novo chama a atenção" in shown
    [line] = [one for one in shown.splitlines() if one.startswith("Leitura do medidor")]
    assert all(one in line for one in ("Energia", "3,802 kWh", "38,020 kWh", "+900,0 %", "INCOMUM, ")), line
