"""The ledger in the console: why a unit is there, what a late reprocessing missed, stale results, what is left out."""

import uuid
from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.scene import Scene
from tests.support.stage import unit
from tests.support.tenant import Tenant


def row(id_: str, writer: str = "", track: str | None = None) -> dict[str, Any]:
    metadata = {"type": "carga_mw", "rid": f"r-{id_}", "branch": "master", "instance_id": writer, "changeTrack": track}
    return {"id": id_, "mw": 1, "_metadata": metadata}


def changes(scene: Scene, tenant: Tenant, instance: str, *ids: str) -> None:
    scene.siblings.entities[tenant.id(instance)] = [row(id_, track="update") for id_ in ids]


def reads(scene: Scene, tenant: Tenant, instance: str, **versions: str) -> None:
    rows = [row(id_.replace("_", "-"), tenant.id(writer)) for id_, writer in versions.items()]
    scene.siblings.heads[tenant.id(instance)] = {"dataset": {"entities": {"carga_mw": rows}}}


def late(scene: Scene, tenant: Tenant) -> dict[str, Any]:
    """Have a result committed that was computed before the correction that was being decided."""
    day = "d2026_11_27"
    tenant.impacts("c1", unit("p1"))
    scene.starts(tenant, "c1", "rectify.quote.request", usina="A")
    changes(scene, tenant, "c1", day.replace("_", "-"))
    reads(scene, tenant, "re1", **{day: "c1"})
    reads(scene, tenant, "w", **{day: "before"})
    scene.run(tenant.publish("c1"))
    doc = scene.run(tenant.pending())
    scene.run(tenant.publish("w"))
    scene.waits(tenant, 1)
    scene.post(doc, "approve")
    scene.reaches(doc, "finished")
    return scene.run(tenant.pending())


@pytest.mark.parametrize(
    ("language", "named", "read"),
    [
        ("en", "Named by Discovery", "read carga_mw of 2026-11-27, which this correction changes"),
        ("pt-BR", "Apontada pelo Discovery", "leu carga_mw de 2026-11-27, que esta correção muda"),
    ],
)
def test_each_unit_says_why_it_is_there(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, named: str, read: str
) -> None:
    changes(scene, tenant, "c1", "2026-11-27")
    scene.siblings.heads[tenant.id("p1")] = {
        "dataset": {"entities": {"carga_mw": [row("2026-11-27", tenant.id("old")), row("2026-11-28")]}}
    }
    tenant.impacts("c1", unit("p1"))
    scene.starts(tenant, "c1", "rectify.quote.request", usina="A")
    scene.run(tenant.publish("c1"))
    doc = scene.run(tenant.pending())
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees(named, read, within="#impact")
    assert "2026-11-28" not in browser.text("#impact")


def test_a_row_whose_id_says_nothing_is_called_by_its_values(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    id_ = str(uuid.uuid4())
    corrected = row(id_, track="update") | {"id": id_, "usina": "A", "dia": "2026-11-27", "mw": 2}
    corrected["before"] = {"usina": "A", "dia": "2026-11-27", "mw": 1}
    scene.siblings.entities[tenant.id("c1")] = [corrected]
    scene.siblings.heads[tenant.id("p1")] = {"dataset": {"entities": {"carga_mw": [row(id_, tenant.id("old"))]}}}
    tenant.impacts("c1", unit("p1"))
    scene.starts(tenant, "c1", "rectify.quote.request", usina="A")
    scene.run(tenant.publish("c1"))
    doc = scene.run(tenant.pending())
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("read carga_mw of A · 2026-11-27, which this correction changes", within="#impact")


def test_what_came_late_says_what_it_missed(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = late(scene, tenant)
    browser.open()
    browser.sees(tenant.system, within=".inbox li.late")
    browser.sees("late", within=".inbox li.late")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Results that are stale", "late", within=".decision-head")
    browser.sees(
        f"read carga_mw of d2026-11-27, and did not see the commit of {tenant.id('c1')}", within="#impact"
    )  # fmt: skip
    browser.open(f"#/stale?system={tenant.system}")
    browser.choose("State", "stale")
    browser.sees("1 result.", "stale", tenant.id("w"), tenant.id("c1"), "It did not see a commit")
    browser.choose("State", "accepted")
    browser.sees("No result is known to be stale.")
    browser.choose("State", "stale")
    browser.press("the reprocessing that replays it")
    browser.sees("Your decision")


def test_what_is_late_has_no_commit_to_show_or_discard(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = late(scene, tenant)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("If you leave them as they are", "Nothing is committed: the data is there already.")
    assert "What would be committed" not in browser.text("main")
    assert "discard" not in browser.text("main")
    assert browser.run("return document.querySelectorAll('main .notice.danger').length") == 0
    browser.type("Why?", "as good as new")
    browser.type("Your name", "ana")
    browser.press("Leave them as they are")
    browser.sees("Left as they are: the results are listed as accepted.", within=".decision-head")
    assert "Reconsider" not in browser.text("main")


def test_a_late_run_commits_nothing(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = late(scene, tenant)
    scene.mute(tenant)
    scene.post(doc, "approve")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("of at least 1 results are computed again", within=".decision-head")
    assert "The data is saved" not in browser.text("main")
    assert "Commit" not in browser.text("#run .steps")
    browser.press("Graph")
    browser.sees("Results that are stale", within="svg.graph")
    assert "Commit" not in browser.text("svg.graph")
    scene.answers(tenant, 2)
    browser.sees("Done: the results were computed again.", within=".decision-head")


def test_what_is_late_is_left_together(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    late(scene, tenant)
    browser.open("#/together")
    browser.type("System, branch, or what its event says", tenant.system)
    browser.press("Choose 1")
    browser.type("Why?", "as good as new")
    browser.type("Your name", "ana")
    browser.press("Skip 1")
    browser.sees("1 late result stays as it is, and is listed as accepted.", within="dialog")
    assert "NOT reach the domain" not in browser.text("dialog")
    browser.press("Back")


def test_a_unit_that_cannot_be_replayed_is_left_out(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "fix", "p1", "p2")
    scene.mute(tenant)
    scene.post(doc, "approve")
    scene.run(tenant.sent(1))
    scene.post(doc, "pause")
    scene.answers(tenant, 1)
    scene.reaches(doc, "paused")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.press(f"Leave out {tenant.id('p2')}", exact=True)
    browser.sees("Leave 1 unit out?", tenant.id("p2"), within="dialog")
    browser.type("Why?", "its process is gone")
    browser.type("Your name", "ana")
    browser.run("document.querySelector('dialog button.danger').click()")
    browser.sees("1 unit was left out", "its process is gone", "by ana", within="#run")
    left = scene.document(doc)["leftOut"]
    assert [(one["instanceId"], one["user"]) for one in left] == [(tenant.id("p2"), "ana")]
    scene.post(doc, "resume")
    for language, said, see in (
        ("pt-BR", "1 foi deixado de fora e continua com dados antigos.", "Ver o que está desatualizado"),
        ("en", "1 was left out, and is still on old data.", "See what is stale"),
    ):
        browser.fresh(scene.url, language=language)
        browser.open(f"#/reprocessing/{doc['id']}")
        browser.sees(said, within=".decision-head .lead")
        browser.press(see)
        browser.sees(tenant.id("p2"), "its process is gone")
    browser.press(tenant.id("p2"))
    browser.until(lambda: "#/history" in browser.driver.current_url, "the history")
    browser.press("rectify quote")
    browser.sees("1 was left out, and is still on old data.")


def test_what_cannot_be_replayed_is_seen_before_the_decision(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    scene.siblings.origins[tenant.id("gone")] = None
    scene.starts(tenant, "fix", "rectify.quote.request", usina="A")
    tenant.impacts("fix", unit("gone"))
    scene.run(tenant.publish("fix"))
    doc = scene.run(tenant.pending())
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("1 unit cannot be replayed:", tenant.id("gone"), "no origin event", within="#decide")
