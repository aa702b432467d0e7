"""Many pending ones decided together: chosen with their digests, for one reason, asked once more, each with its end."""

import pytest

from tests.support.browser import Browser
from tests.support.looks import WIDE, check
from tests.support.scene import JSON, REASON, Scene
from tests.support.tenant import Tenant

#: Decisions that the page sent.
SENT = "return performance.getEntriesByType('resource').filter((one) => /\\/decisions$/.test(one.name)).length"
TEXTS = {
    "en": ("Decide several together", "System, branch, or what", "Choose all 3", "3 are chosen: at least 9",
           "Approve 3", "Why?", "Your name", "at least 9 results are computed again", "Type 9 to go on", "decided",
           "refused"),
    "pt-BR": ("Decidir vários juntos", "Sistema, branch, ou o que", "Escolher todos os 3", "3 escolhidos: pelo menos 9",
              "Aprovar 3", "Por quê?", "Seu nome", "pelo menos 9 resultados são calculados de novo",
              "Digite 9 para continuar", "decidido", "recusado"),
}  # fmt: skip


def hold_some(scene: Scene, mark: str, *units: str) -> list[JSON]:
    """Have a commit held in each of three systems; all are found by the mark."""
    return [scene.hold(scene.tenant(), "fix", *units, currency=mark) for _ in range(3)]


def find(browser: Browser, mark: str) -> None:
    browser.open("#/together")
    browser.type("System, branch", mark)
    browser.until(lambda: browser.run("return document.querySelectorAll('#pending tbody tr').length") == 3, "all three")


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_three_are_approved_and_one_was_faster(
    browser: Browser, scene: Scene, language: str, size: tuple[int, int]
) -> None:
    (go, text, every, chosen, approve, why, name, sure, typed, decided, refused) = TEXTS[language]
    mark = f"{language}{size[0]}"
    docs = hold_some(scene, mark)
    browser.size(*size)
    browser.fresh(scene.url, language=language)
    browser.open()
    browser.press(go)
    browser.type(text, mark)
    browser.press(every)
    browser.sees(chosen, within="#decide")
    browser.sees(*(doc["digest"] for doc in docs), within="#pending")
    assert browser.run(WIDE) == []
    check(browser, "chosen")
    browser.press(approve)
    assert browser.run("return document.activeElement.name") == "reason"
    browser.type(why, REASON)
    browser.type(name, "ana")
    browser.press(approve)
    browser.sees(sure, REASON, *(doc["digest"] for doc in docs), *(doc["systemId"] for doc in docs), within="dialog")
    check(browser, "asked")
    browser.press(approve)
    assert browser.run("return document.activeElement.name") == "typed"
    scene.post(docs[1], "skip")
    assert browser.run(SENT) == 0
    browser.type(typed, "9")
    browser.press(approve)
    browser.sees(f"2 {decided}", f"1 {refused}", within="#became")
    ends = {doc["id"]: browser.row(doc["systemId"]) for doc in docs}
    for doc in (docs[0], docs[2]):
        assert decided in ends[doc["id"]]
        entry = scene.reaches(doc, "finished")["history"][1]
        assert (entry["status"], entry["user"], entry["reason"]) == ("approved", "ana", REASON)
    assert refused in ends[docs[1]["id"]]
    browser.until(lambda: all(doc["systemId"] not in browser.text("#pending") for doc in docs), "them to be gone")
    assert browser.run(WIDE) == []
    check(browser, "what became of them")


def test_what_changes_after_it_was_chosen_is_chosen_no_more(browser: Browser, scene: Scene) -> None:
    docs = hold_some(scene, "changing", "p1")
    find(browser, "changing")
    browser.press("Choose all 3")
    browser.sees("3 are chosen", within="#decide")
    system = docs[0]["systemId"]
    scene.siblings.impacts[f"{system}.fix"].append({"instanceId": f"{system}.p2", "branch": "master", "forking": False})
    scene.siblings.origins[f"{system}.p2"] = scene.siblings.origins[f"{system}.p1"] | {"instanceId": f"{system}.p2"}
    changed = scene.post(docs[0], "recheck")
    browser.sees("2 are chosen", within="#decide")
    browser.sees("1 that you had chosen is not what it was", changed["digest"], within="#pending")
    assert "changed meanwhile" in browser.row(system)
    browser.run(f"document.querySelector('[data-key=\"{docs[0]['id']}\"]').click()")
    browser.sees("3 are chosen: at least 4", within="#decide")
    scene.post(docs[1], "skip")
    browser.sees("2 are chosen: at least 3", within="#decide")


def test_few_are_skipped_for_one_reason(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    docs = hold_some(scene, "skipping", "p1")
    find(browser, "skipping")
    browser.press("Choose all 3")
    browser.press("Choose none")
    browser.cannot("Skip 0")
    for doc in docs[:2]:
        browser.run(f"document.querySelector('[data-key=\"{doc['id']}\"]').click()")
    browser.type("Why?", REASON)
    browser.type("Your name", "ana")
    browser.press("Skip 2")
    browser.sees("Their rows do NOT reach the domain", within="dialog")
    browser.press("Back")
    assert browser.run(SENT) == 0
    browser.press("Skip 2")
    browser.press("Skip 2")
    browser.sees("2 decided", within="#became")
    assert "refused" not in browser.text("#became")
    for doc in docs[:2]:
        entry = scene.reaches(doc, "skipped")["history"][-1]
        assert (entry["user"], entry["reason"]) == ("ana", REASON)
    assert scene.document(docs[2])["status"] == "pending_approval"
    scene.post(docs[2], "skip")
