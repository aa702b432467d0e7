"""What policies demand: shown before the decision, and with what was decided, in both languages."""

import pytest

from tests.console.conftest import CLOSED, SMALL
from tests.support.browser import Browser
from tests.support.looks import check
from tests.support.scene import REASON, Scene
from tests.support.stage import unit


def test_two_people_approve_what_may_not_be_skipped(browser: Browser, scene: Scene) -> None:
    doc = scene.hold(scene.tenant(CLOSED[0]), currency="USD", date="2024-01-02")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees(
        "Two different people must approve. It may not be skipped.",
        "closed-period: asks for two approvals, refuses a skip",
        "data of 2024-01-02, before 2024-02-01", "Skipping is off: a policy refuses it.", within="#decide",
    )  # fmt: skip
    assert browser.run("return document.querySelector('[data-key=skip]').disabled")
    browser.type("Why?", REASON)
    browser.type("Your name", "ana")
    browser.press("Approve and replay 3")
    browser.sees("Your approval is noted. A second person has to approve it as well.")
    browser.sees("ana has approved it already.", within="#decide")
    assert browser.run("return document.querySelector('[data-key=skip]').disabled"), "it stays off"
    scene.post(doc, "approve")
    browser.sees("Done: the data is saved")
    browser.sees(
        "What the policies demanded", "Two different people must approve.", "data of 2024-01-02, before 2024-02-01",
        within="#trace",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("language", "system", "says"),
    [
        ("en", CLOSED[1], ("the date of the data is not known (data_before = 2024-02-01)", "Skipping is off")),
        ("pt-BR", CLOSED[2], (
            "Duas pessoas diferentes precisam aprovar. Não pode ser descartado.",
            "pede duas aprovações, recusa o descarte",
            "a data dos dados não é conhecida (data_before = 2024-02-01)", "O descarte está desativado",
        )),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said(
    browser: Browser, scene: Scene, language: str, system: str, says: tuple[str, ...]
) -> None:
    doc = scene.hold(scene.tenant(system), currency="USD", date="soon")
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees(*says, within="#decide")


def test_it_looks_right(browser: Browser, scene: Scene) -> None:
    doc = scene.hold(scene.tenant(CLOSED[3]), currency="USD", date="2024-01-02")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Skipping is off", within="#decide")
    check(browser, "a policy refuses the skip")


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("approved by policy small (", "What the policies demanded", "Approved without asking anybody.")),
        ("pt-BR", ("aprovado pela política small (", "O que as políticas exigiram", "a reexecutar: 2, no máximo 3")),
    ],
)
def test_what_a_policy_approved(browser: Browser, scene: Scene, language: str, says: tuple[str, ...]) -> None:
    tenant = scene.tenant(SMALL[language])
    scene.starts(tenant, "fix", "rectify.quote.request")
    tenant.impacts("fix", unit("p1"), unit("p2"))
    scene.run(tenant.publish("fix"))
    scene.lists(tenant, 1)
    (doc,) = scene.run(scene.it.get(f"/v1.0.0/reprocessing/{tenant.system}/find"))
    scene.reaches(doc, "finished")
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees(*says, within="#trace")
