"""What a run changed, on the page of a reprocessing: in both languages, on a phone and a desk, by day and night."""

from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.looks import BROKEN, WIDE
from tests.support.scene import Scene
from tests.support.stage import unit
from tests.support.tenant import Tenant

JSON = dict[str, Any]


def dataset(*rows: tuple[str, float, str | None]) -> JSON:
    told = [
        {"id": id_, "usina": f"Usina {id_}", "mw": mw, "_metadata": {"type": "carga", "changeTrack": track}}
        for id_, mw, track in rows
    ]
    return {"dataset": {"entities": {"carga": told}}}


def replayed(scene: Scene, tenant: Tenant) -> JSON:
    """Have three units replayed: values change, a row is added, and of one there is no history."""
    tenant.impacts("fix", unit("p1"), unit("p2"), unit("p3"))
    scene.starts(tenant, "fix", "rectify.quote.request", usina="A")
    for short, usina in (("p1", "A"), ("p2", "B"), ("p3", "C")):
        scene.starts(tenant, short, "calculate.load.request", usina=usina, dia="2026-11-27")
    known = scene.siblings
    known.read[tenant.id("re1")] = dataset(("A", 12000, None), ("B", 10, None), ("C", 0, None))
    known.heads[tenant.id("re1")] = dataset(("A", 13488, "update"), ("B", 9.5, "update"), ("C", 3, "update"))
    known.read[tenant.id("re2")], known.heads[tenant.id("re2")] = dataset(), dataset(("D", 7, "create"))
    scene.run(tenant.publish("fix"))
    doc = scene.run(tenant.pending())
    scene.post(doc, "approve")
    return scene.reaches(doc, "finished")


@pytest.fixture(scope="module")
def labelled(scene: Scene) -> JSON:
    """A run of a system that has labels (config/labels.toml), once for all tests."""

    def average(value: float, track: str | None = None) -> JSON:
        row = {"id": "a1", "currency": "USD", "value": value, "_metadata": {"type": "average", "changeTrack": track}}
        return {"dataset": {"entities": {"average": [row]}}}

    tenant = scene.tenant("cotacoes")
    tenant.impacts("fix", unit("p1"))
    for short in ("fix", "p1"):
        scene.starts(tenant, short, "monthly.average.request", currency="USD")
    scene.siblings.read[tenant.id("re1")] = average(1.4674)
    scene.siblings.heads[tenant.id("re1")] = average(1.61414, "update")
    scene.run(tenant.publish("fix"))
    doc = scene.run(tenant.pending())
    scene.post(doc, "approve")
    return scene.reaches(doc, "finished")


@pytest.mark.parametrize(
    ("language", "summary", "row", "words"),
    [
        (
            "en",
            "3 values changed, largest +12.4%, 1 row added",
            ("Usina A", "12,000", "13,488", "+1,488", "+12.4%"),
            (
                "Outcome",
                "The biggest changes",
                "added",
                "1 result cannot be compared:",
                "has no history of its replay",
            ),
        ),
        (
            "pt-BR",
            "3 valores mudaram, maior +12,4%, 1 linha acrescentada",
            ("Usina A", "12.000", "13.488", "+1.488", "+12,4%"),
            ("Resultado", "As maiores mudanças", "acrescentada", "1 resultado não pode ser comparado:"),
        ),
    ],
)
def test_what_changed_is_told_the_biggest_first(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, summary: str, row: tuple[str, ...], words: tuple[str]
) -> None:
    doc = replayed(scene, tenant)
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees(summary, *words, within="#outcome")
    first = browser.text("#outcome tbody tr")
    assert all(one in first for one in row), first
    browser.size(1280, 800)
    assert browser.run(BROKEN) == []
    assert "calculate load · A · 2026-11-27" in first, "a unit is called by what started it"
    for scheme in ("light", "dark"):
        browser.prefers(scheme)
        for size in ((1280, 900), (390, 844)):
            browser.size(*size)
            assert browser.run(WIDE) == []


def test_each_unit_opens_and_stays_open(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = replayed(scene, tenant)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("3 values changed", within="#outcome")
    browser.run("document.querySelector('.outcomes summary').click()")
    browser.sees("Usina C", "0", "3", within=".outcomes details[open]")
    assert "%" not in browser.text(".outcomes details[open] tbody tr:last-child"), "no per cent of 0"


def test_the_outcome_is_saved_as_csv(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = replayed(scene, tenant)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("3 values changed", within="#outcome")
    browser.run(
        "window.saved = [];"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => saved.push(text)); return '#'; };"
        "HTMLAnchorElement.prototype.click = () => {};"
    )
    browser.press("Save as CSV")
    [text] = browser.until(lambda: browser.run("return saved.length ? saved : null"), "the file")
    assert text.startswith("instance_id,branch,")
    assert ",Usina A,mw,changed,12000,13488,1488.0,12.4," in text


def test_before_a_decision_there_is_none(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "fix")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Your decision")
    assert not browser.run("return document.querySelector('#outcome')")


@pytest.mark.parametrize(("language", "button"), [("en", "Show both values"), ("pt-BR", "Mostrar os dois valores")])
def test_an_overwrite_shows_both_values(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, button: str
) -> None:
    tenant.impacts("c1", unit("p1"))
    scene.starts(tenant, "c1", "rectify.quote.request", usina="A")
    for instance, mw in (("c1", 2000), ("w", 1500)):
        about = {"type": "carga", "branch": "master", "changeTrack": "update", "instance_id": tenant.id("before")}
        written = {"id": "A", "usina": "Usina A", "mw": mw, "_metadata": about}
        book = {"dataset": {"entities": {"carga": [written]}}}
        scene.siblings.read[tenant.id(instance)] = scene.siblings.heads[tenant.id(instance)] = book
        scene.siblings.entities[tenant.id(instance)] = [written]
    scene.run(tenant.publish("c1"))
    doc = scene.run(tenant.pending())
    scene.run(tenant.publish("w"))
    scene.waits(tenant, 1)
    scene.post(doc, "approve")
    scene.reaches(doc, "finished")
    scene.run(tenant.commits_are("c1", "re1", "w"))

    browser.fresh(scene.url, language=language)

    def listed() -> bool:
        browser.open("#/")
        browser.open(f"#/stale?system={tenant.system}&state=overwrite")
        browser.until(lambda: not browser.run("return !!document.querySelector('.spinner')"), "it is loaded")
        return tenant.id("w") in browser.text("main")

    browser.until(listed, "the overwrite is listed")
    browser.press(button)
    numbers = ("2,000", "1,500") if language == "en" else ("2.000", "1.500")
    browser.sees("Usina A", "mw", *numbers, "25", within=".overwritten")
    browser.size(390, 844)
    assert browser.run(WIDE) == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Monthly average", "Rate", "per euro", "1.4674", "1.6141")),
        ("pt-BR", ("Média mensal", "Taxa", "por euro", "1,4674", "1,6141")),
    ],
)
def test_its_values_have_the_labels_of_the_system(
    browser: Browser, scene: Scene, labelled: JSON, language: str, words: tuple[str, ...]
) -> None:
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{labelled['id']}")
    browser.sees(*words, within="#outcome tbody")
    browser.size(1280, 800)
    lines = browser.run(
        "const name = document.querySelector('#outcome tbody td:nth-child(2) small'); const all = new Range();"
        "all.selectNodeContents(name); return all.getClientRects().length"
    )
    assert lines <= len(words[0].split()), "no word of a label is broken"
