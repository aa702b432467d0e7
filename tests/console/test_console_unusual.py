"""What is unusual about a correction, on the page of its decision: in both languages, on a phone and a desk."""

import itertools
from typing import Any

import pytest

from tests.console.test_console_layout import LANGUAGES, WIDE
from tests.support.browser import Browser
from tests.support.scene import Scene
from tests.support.stage import unit
from tests.support.tenant import Tenant

JSON = dict[str, Any]
PAST = (3790.0, 3815.0, 3821.0, 3805.0, 3850.0, 3802.0)
#: The system whose labels are in config/labels.toml; a scene has it once.
LABELLED = "medicao"


def row(kwh: float, writer: str, track: str | None = None) -> JSON:
    about = {"type": "reading", "branch": "master", "instance_id": writer, "changeTrack": track}
    return {"id": "r1", "meter": "pumps-1", "kwh": kwh, "_metadata": about}


def dataset(*rows: JSON) -> JSON:
    return {"dataset": {"entities": {"reading": list(rows)}}}


def held(scene: Scene, tenant: Tenant, short: str, past: tuple[float, ...], new: float) -> JSON:
    """Have a correction held of a reading that was written so many times before."""
    known = scene.siblings
    writers = [tenant.id(f"{short}-w{number}") for number in range(len(past))]
    known.read[writers[0]], known.heads[writers[0]] = dataset(), dataset()
    for (earlier, writer), (before, value) in zip(itertools.pairwise(writers), itertools.pairwise(past), strict=True):
        known.read[writer], known.heads[writer] = dataset(row(before, earlier)), dataset(row(value, earlier, "update"))
    id_ = tenant.id(short)
    known.read[id_] = dataset(row(past[-1], writers[-1]))
    known.heads[id_] = dataset(row(new, writers[-1], "update"))
    known.entities[id_] = [row(new, writers[-1], "update") | {"before": {"meter": "pumps-1", "kwh": past[-1]}}]
    scene.starts(tenant, short, "rectify.reading.request", meter="pumps-1", kwh=new)
    tenant.impacts(short, unit("p1"))
    scene.run(tenant.publish(short))
    return scene.run(tenant.pending())


@pytest.fixture(scope="module")
def slip(scene: Scene) -> JSON:
    """A slip, on a system that has labels."""
    return held(scene, scene.tenant(LABELLED), "slip", PAST, 38020.0)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            (
                "Is it as usual?", "1 of 1 new numbers stands out", "pumps-1", "Meter reading", "Energy",
                "3,802.000 kWh", "38,020.000 kWh", "+900%", "about 10 times the old value", "unusual",
                "6 past values: median 3,810.000, from 3,790.000 to 3,850.000",
            ),
        ),
        (
            "pt-BR",
            (
                "Está dentro do normal?", "1 de 1 números novos chama a atenção", "Leitura do medidor", "Energia",
                "3.802,000 kWh", "38.020,000 kWh", "+900%", "cerca de 10 vezes o valor antigo", "incomum",
                "6 valores passados: mediana 3.810,000, de 3.790,000 a 3.850,000",
            ),
        ),
    ],
)  # fmt: skip
def test_a_slip_stands_out_in_the_readers_numbers(
    browser: Browser, scene: Scene, slip: JSON, language: str, words: tuple[str, ...]
) -> None:
    browser.fresh(scene.url, language=language)
    for scheme in ("light", "dark"):
        browser.prefers(scheme)
        for size in ((1280, 800), (390, 844)):
            browser.size(*size)
            browser.open(f"#/reprocessing/{slip['id']}")
            browser.sees(*words, within="#unusual")
            assert browser.run(WIDE) == []


def test_the_measure_is_explained(browser: Browser, scene: Scene, slip: JSON) -> None:
    browser.open(f"#/reprocessing/{slip['id']}")
    browser.sees("How this is measured", within="#unusual")
    browser.run("document.querySelector('#unusual summary').click()")
    browser.sees("median absolute deviation", "3.5 spreads", "fewer than 5 past values", within="#unusual")


def test_what_would_be_committed_has_the_labels_too(browser: Browser, scene: Scene, slip: JSON) -> None:
    browser.open(f"#/reprocessing/{slip['id']}")
    browser.sees("Meter reading", "Energy (kWh)", "3,802.000", "38,020.000", within="#commit")


@pytest.mark.parametrize("language", LANGUAGES)
def test_too_short_a_past_says_nothing(browser: Browser, scene: Scene, tenant: Tenant, language: str) -> None:
    doc = held(scene, tenant, "fix", PAST[:2], 3816.0)
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    said = {
        "en": (
            "Whether it is as usual cannot be said: too short a past to compare with.",
            "2 past values: too few to compare with, 5 are needed.",
        ),
        "pt-BR": (
            "Não se pode dizer se está dentro do normal",
            "2 valores passados: poucos para comparar",
        ),
    }
    browser.sees(*said[language], within="#unusual")
    assert not browser.run("return document.querySelector('#unusual .badge')")


def test_what_is_not_to_be_had_is_said(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant, "fix")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Whether its numbers are unusual is not known.", "Process Memory has no history of", within="#unusual")


def test_after_the_decision_it_is_not_shown(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = held(scene, tenant, "fix", PAST, 3816.0)
    scene.post(doc, "skip")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("skipped")
    assert not browser.run("return document.querySelector('#unusual')")
