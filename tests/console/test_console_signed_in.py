"""The console at a gateway with access control: a token is asked for, and tells who decides."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from tests.support.background import Background
from tests.support.browser import Browser
from tests.support.scene import JSON, REASON, Scene
from tests.support.stage import SYSTEM, event, stage, unit

ROLES = {"root": Role.ADMIN, "ana": Role.APPROVER, "ben": Role.APPROVER, "vera": Role.VIEWER}


@dataclass
class Guarded:
    """A Maestro that asks for credentials."""

    scene: Scene
    tokens: dict[str, str]

    def hold(self, instance: str) -> JSON:
        """Have a commit held."""
        self.scene.siblings.impacts[instance] = [unit("p1")]
        self.scene.run(self.scene.it.publish(event(instance)))
        return self.scene.run(self.scene.it.pending())


@pytest.fixture(scope="module")
def guarded(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    file = TokenFile(folder / "data")
    tokens = {name: file.add(name, role) for name, role in ROLES.items()}
    environ = {"MAESTRO_ACCESS__ENABLED": "true", "MAESTRO_ACCESS__TWO_APPROVERS": SYSTEM}
    context = stage(folder, token=tokens["root"], **environ)
    it = background.run(context.__aenter__())
    yield Guarded(Scene(background, it), tokens)
    background.run(context.__aexit__(None, None, None))


def sign_in(browser: Browser, guarded: Guarded, name: str) -> None:
    browser.sees("This Maestro asks who you are.")
    browser.type("Token", guarded.tokens[name])
    browser.press("Sign in")
    browser.sees_not("This Maestro asks who you are.")


def test_two_people_approve(browser: Browser, guarded: Guarded) -> None:
    doc = guarded.hold("i1")
    browser.fresh(guarded.scene.url)
    browser.open(f"#/reprocessing/{doc['id']}")
    sign_in(browser, guarded, "ana")
    browser.sees("Approve and replay 1")
    browser.until(
        lambda: browser.run("return document.querySelector('.decision').dataset.live") == "stream", "a stream"
    )
    assert "Your name" not in browser.text("#decide")
    browser.press("Re-check now")
    browser.sees("nothing has changed", within="#decide")
    browser.type("Why?", REASON)
    browser.press("Approve and replay 1")
    browser.sees("A second person has to approve it as well.", "ana has approved it already", within="#decide")
    browser.press("Sign out")
    sign_in(browser, guarded, "ben")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("ana has approved it already")
    browser.type("Why?", "I have looked as well")
    browser.press("Approve and replay 1")
    browser.sees("Done: the data is saved")
    done = guarded.scene.document(doc)
    assert [(entry["user"], entry["reason"]) for entry in done["history"] if entry["status"] == "approved"] == [
        ("ben", "I have looked as well")
    ]


def test_who_may_only_look_is_refused(browser: Browser, guarded: Guarded) -> None:
    doc = guarded.hold("i2")
    browser.fresh(guarded.scene.url)
    browser.open("#/")
    sign_in(browser, guarded, "vera")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.type("Why?", REASON)
    browser.press("Skip and discard the commit")
    browser.sees("You are not allowed to do this.", "vera", within="#decide")
    assert guarded.scene.document(doc)["status"] == "pending_approval"


def test_together_an_approval_of_the_first_is_noted(browser: Browser, guarded: Guarded) -> None:
    doc = guarded.hold("i9")
    browser.fresh(guarded.scene.url)
    browser.open("#/together")
    sign_in(browser, guarded, "ana")
    browser.press("Choose 1")
    browser.type("Why?", REASON)
    assert "Your name" not in browser.text("#decide")
    browser.press("Approve 1")
    browser.press("Approve 1")
    browser.sees("1 noted: a second person must approve, too", within="#became")
    browser.sees("ana has approved already", within="#pending")
    assert guarded.scene.document(doc)["status"] == "pending_approval"
    guarded.scene.post(doc, "skip", user="root")
