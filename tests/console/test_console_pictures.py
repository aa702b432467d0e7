"""The pictures of the README, taken of the sandbox's story: real quotes, corrected, decided.

They are kept where `MAESTRO_PICTURES` says: `MAESTRO_PICTURES=docs/images scripts/test tests/console -k pictures`.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from maestro.sandbox.demo.clients import Domain, EventManager, Maestro, Services
from maestro.sandbox.demo.player import Player
from maestro.sandbox.demo.stage import Stage
from maestro.sandbox.demo.story import Input
from maestro.sandbox.options import SYSTEM, BrokerKind
from maestro.sandbox.quotes.history import load_history
from maestro.sandbox.quotes.story import make_plan
from tests.support.background import Background
from tests.support.browser import Browser
from tests.support.stage import eventually

JSON = dict[str, Any]
SCENARIOS = ("strong-dollar", "weak-dollar", "stress-test")
REASON = "The bank has confirmed that the old rate was a typing error."


class Quiet:
    """Hears the story without a word."""

    def begins(self, phase: str, total: int) -> None: ...

    def progressed(self, count: int) -> None: ...

    def says(self, text: str) -> None: ...


class Platform:
    """The sandbox and its Maestro after the demo's story."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self.url = stage.maestro_url
        self.plan = make_plan(load_history(), ("USD",), (2008, 2009))
        self.maestro = Maestro(session, stage.maestro_url)
        self.events = EventManager(session, stage.services["event_manager"])
        self.services = Services(self.maestro, self.events, Domain(session, stage.services["domain"]))
        self.player = Player(self.plan, SYSTEM, self.services, Quiet())
        #: The reprocessings of the story; tests make further ones.
        self.told: list[JSON] = []

    async def play(self) -> None:
        """Play the story."""
        await self.player.play()
        self.told = await self.maestro.documents(SYSTEM)

    async def send(self, name: str, **payload: Any) -> None:
        """Start a process of the platform."""
        assert await self.events.send(self.player._event(name, payload)) == ""

    async def state(self) -> JSON:
        """Return what Maestro says of the system."""
        return dict(await self.maestro.call("GET", f"/v1.0.0/systems/{SYSTEM}"))

    async def settled(self, finished: int) -> None:
        """Wait until so many reprocessings have ended, and nothing is under way."""

        async def idle() -> bool:
            ended = [one for one in await self.maestro.documents(SYSTEM) if one["status"] in ("finished", "skipped")]
            system = await self.state()
            return len(ended) == finished and system["state"] == "open" and not system["inbox"]

        await eventually(idle, f"{finished} reprocessings have ended")

    async def held(self) -> JSON:
        """Rectify a quote of a month that scenarios have averages of their own of; return the document."""
        month = [one for one in self.plan.inputs if one.subject == "USD" and one.at.startswith("2008-09")]
        done = len(await self.maestro.documents(SYSTEM))
        for number, branch in enumerate(SCENARIOS, 1):
            await self.rectify(month[number], branch=branch)
            await self.settled(done + number)
        await self.rectify(month[0])
        (document,) = await eventually(lambda: self.maestro.pending(SYSTEM), "it is held")
        for day in ("2011-01-03", "2011-01-04", "2011-01-05"):
            await self.send("push.quote.request", currency="USD", date=day, rate=1.33)
        return dict(document)

    async def rectify(self, quote: Input, **branch: str) -> None:
        """Rectify a quote, on a branch of its own if one is given."""
        rate = round(quote.value * 1.02, 4)
        await self.send("rectify.quote.request", currency=quote.subject, date=quote.at, rate=rate, **branch)


@pytest.fixture(scope="module")
def platform(background: Background) -> Iterator[Platform]:
    stage = Stage(SYSTEM, BrokerKind.EMBEDDED, os.environ)
    background.run(stage.__aenter__())
    session = background.run(_session())
    try:
        platform = Platform(stage, session)
        background.run(platform.play())
        yield platform
    finally:
        background.run(session.close())
        background.run(stage.__aexit__(None, None, None))


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=128))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("MAESTRO_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.slow
def test_the_pictures(window: Browser, background: Background, platform: Platform, album: Path) -> None:
    doc = background.run(platform.held())
    browser = window
    browser.size(1200, 800)
    browser.prefers("light")
    browser.fresh(platform.url, user="ana")

    browser.open("#/")
    browser.sees("“rectify quote”", "3 events wait behind it")
    take(browser, album / "inbox.png")

    address = f"#/reprocessing/{doc['id']}"
    browser.open(address)
    browser.sees(
        "At least 4 instances",
        "on 4 branches",
        "What is shown here alone takes about",
        "3 events wait",
        "1.4913",
        within="main",
    )
    take(browser, album / "decision.png")
    browser.type("Why?", REASON)
    browser.press("Limit how far it may go")
    browser.type("Replays at most", "5")
    browser.press("Approve and replay 4")
    browser.sees("Paused after 5", "by cascade")
    browser.press("Graph")
    browser.sees_not("Approved:")
    take(browser, album / "paused.png")

    browser.size(390, 780)
    browser.prefers("dark")
    browser.open(address)
    browser.sees("Paused after 5", "The run")
    browser.picture(album / "phone-dark.png", whole=False)
    browser.prefers("light")
    browser.size(1200, 800)
    browser.open("#/history")
    browser.sees("paused", "skipped", within="table")
    take(browser, album / "history.png")

    browser.open(address)
    browser.press("Resume")
    browser.type("Why?", "The first five are right.")
    browser.press("Resume", exact=True)
    browser.sees("Done: the data is saved")
    assert browser.problems() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Outcome", "values changed, largest +10%", "The biggest changes")),
        ("pt-BR", ("Resultado", "valores mudaram, maior +10%", "As maiores mudanças")),
    ],
)
def test_the_outcome_of_the_story(
    window: Browser, background: Background, platform: Platform, language: str, words: tuple[str, ...]
) -> None:
    """Real quotes were corrected by ten per cent: so much the conversions changed, less the averages and rates."""
    doc = max((one for one in platform.told if one["status"] == "finished"), key=lambda one: len(one["units"]))
    window.fresh(platform.url, language=language)
    for width in (1280, 390):
        window.size(width, 900)
        window.open(f"#/reprocessing/{doc['id']}")
        window.sees(*words, "convert amount", within="#outcome")
        assert len(window.run("return [...document.querySelectorAll('.outcomes > *')]")) == len(doc["units"])
    assert window.problems() == []


def take(browser: Browser, path: Path) -> None:
    browser.picture(path)
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    assert (width, height > 400) == (1200, True)
