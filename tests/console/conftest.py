"""One Maestro and one browser for all tests of the console; each test has a system of its own, and no memories."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.background import Background
from tests.support.browser import Browser, missing
from tests.support.lacking import lacking
from tests.support.scene import Scene
from tests.support.stage import stage
from tests.support.tenant import Tenant

#: Systems whose closed period ends with January 2024, and one where what is small is approved.
CLOSED = ("closed1", "closed2", "closed3", "closed4")
SMALL = {"en": "small1", "pt-BR": "small2"}
POLICIES = [
    {"name": "closed-period", "effects": ["two_approvers", "refuse_skip"], "data_before": "2024-02-01",
     "date_from": ["payload.date"], "systems": CLOSED},
    {"name": "small", "effects": ["approve"], "units_to": 3, "systems": [*SMALL.values()]},
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def browser_there() -> None:
    """Skip without a browser; in CI it must be there."""
    if absent := missing():
        lacking(absent)


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    """The thread that everything but the browser runs on."""
    loop = Background()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def scene(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Maestro on the embedded broker, with policies for some systems only."""
    context = stage(
        tmp_path_factory.mktemp("console"), MAESTRO_HTTP__TYPE_SYSTEM_ABOVE="5", MAESTRO_PLATFORM__PROOF_MAP="false",
        MAESTRO_LABELS=str(Path(__file__).parents[2] / "config" / "labels.toml"), MAESTRO_POLICY=json.dumps(POLICIES),
    )  # fmt: skip
    it = background.run(context.__aenter__())
    yield Scene(background, it)
    background.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def window(browser_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(window: Browser, scene: Scene) -> Iterator[Browser]:
    """The browser, with nothing remembered; in the end it must have had nothing to complain of."""
    window.size(1280, 900)
    window.prefers("light")
    window.fresh(scene.url)
    yield window
    assert window.problems() == []


@pytest.fixture
def tenant(scene: Scene) -> Tenant:
    """A system of the test's own."""
    return scene.tenant()
