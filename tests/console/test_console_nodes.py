"""The page of a cluster's nodes, over a cluster that a double tells of; without a cluster nothing leads there."""

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from maestro.cluster.node import Node
from maestro.http.app import create_app
from maestro.http.server import serve_http
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import DescribeSystem, ListTodo
from tests.support.background import Background
from tests.support.browser import Browser
from tests.support.cluster_view import FakeClusterView
from tests.support.looks import WIDE, check
from tests.unit.http.conftest import SETTINGS
from tests.unit.http.fake_actor_client import FakeActorClient

NODES = (
    Node(
        "north", 3, 17, "http://10.1.0.5:6971", 100, holds_events=True, version="0.1.0", settings_digest="x", joined=1
    ),
    Node(
        "south",
        1,
        9,
        "http://10.1.0.6:6971",
        100,
        draining=True,
        version="0.1.0",
        settings_digest="x",
        joined=2,
        waits_for=(("sysA", "silent"),),
    ),
    Node("west", 2, 0, "http://10.1.0.7:6971", 50, version="0.0.9", joined=3),
)
WORDS = {
    "en": (
        "Nodes",
        "lives",
        "Waits for sysA: it does not answer.",
        "gone",
        "1 system is owned by no node",
        "out of reach",
    ),
    "pt-BR": (
        "Nós",
        "vivo",
        "Espera por sysA: não responde.",
        "ausente",
        "1 sistema não pertence a nenhum nó",
        "fora de alcance",
    ),
}
PLACES = "nav.places"


@pytest.fixture
def view() -> FakeClusterView:
    return FakeClusterView(NODES, {"sysA": "north", "sysB": ""})


@pytest.fixture
def url(background: Background, view: FakeClusterView) -> Iterator[str]:
    client = FakeActorClient("sysA", "sysB")
    client.answers[ListTodo] = Answer(
        Code.OK, b'{"total":0,"counts":{},"items":[],"errors":0,"failed":0,"lastFailure":""}'
    )
    client.answers[DescribeSystem] = Answer(Code.OK, b'{"id":"sysA","state":"open","pending":[],"approved":[]}')
    stack = AsyncExitStack()
    served = serve_http(create_app(client, SETTINGS, cluster=view), SETTINGS)
    address = background.run(stack.enter_async_context(served))
    yield address.url
    background.run(stack.aclose())


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_nodes_are_shown_as_they_change(
    window: Browser, url: str, view: FakeClusterView, language: str, size: tuple[int, int]
) -> None:
    title, lives, drains, gone, unowned, away = WORDS[language]
    window.size(*size)
    window.prefers("light")
    window.fresh(url, language=language)
    window.open("#/nodes")
    window.sees(title, within=PLACES)
    window.sees("north", "http://10.1.0.5:6971", lives, drains, gone, within="#nodes")
    window.sees(unowned, "sysB")
    assert window.run(WIDE) == []
    check(window, "nodes")
    view.owned["sysB"] = "north"
    view.problem = "PostgreSQL: away"
    window.sees(away)
    window.sees_not(unowned)
    assert window.problems() == []


def test_without_a_cluster_nothing_leads_there(browser: Browser) -> None:
    browser.open("#/nodes")
    browser.sees("this Maestro is no node of a cluster")
    assert "Nodes" not in browser.text(PLACES)
