"""Large decisions: units searched and counted by the server, at two sizes and in both languages."""

import pytest

from tests.support.browser import Browser
from tests.support.looks import WIDE, check
from tests.support.scene import JSON, Scene
from tests.support.tenant import Tenant

UNITS = 40
WORDS = {
    "en": ("Search and filter", "Process", "Branch", "Period", "20 of 40 instances fit.", "1 of 40 instances fits.",
           "No instance fits.", "Show all", "Instance, branch", "Page 1 of 3"),
    "pt-BR": ("Procurar e filtrar", "Processo", "Branch", "Período", "20 de 40 instâncias correspondem.",
              "1 de 40 instâncias corresponde.", "Nenhuma instância corresponde.", "Mostrar todas", "Instância, branch",
              "Página 1 de 3"),
}  # fmt: skip


def hold_many(scene: Scene, tenant: Tenant) -> JSON:
    """Have a commit held because of units of two processes, on two branches, of two months."""
    scene.starts(tenant, "fix", "rectify.quote.request", currency="USD")
    found = []
    for number in range(UNITS):
        short = f"p{number:02}"
        even, branch = number % 2 == 0, "b1" if number < 10 else "master"
        scene.starts(
            tenant, short, f"{'monthly.average' if even else 'yearly.rate'}.request", branch, seat=f"s{number}"
        )
        if number >= 30:
            scene.siblings.origins[tenant.id(short)]["timestamp"] = "2026-10-05T10:00:00"
        found.append({"instanceId": short, "branch": branch, "forking": False})
    tenant.impacts("fix", *found)
    scene.run(tenant.publish("fix"))
    return scene.run(tenant.pending())


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_units_are_searched_and_filtered(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, size: tuple[int, int]
) -> None:
    opened, process, branch, period, half, one, none, every, text, first = WORDS[language]
    doc = hold_many(scene, tenant)
    browser.size(*size)
    browser.fresh(scene.url, language=language)
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees(first, within="#impact")
    browser.press(opened)
    browser.choose(process, "yearly rate (20)")
    browser.sees(half, within="#impact")
    browser.sees_not("monthly average", within="#impact tbody")
    browser.choose(branch, "b1 (5)")
    browser.choose(period, "2026-11 (5)")
    browser.sees("s9", within="#impact tbody")
    browser.type(text, "s7")
    browser.sees(one, "s7", within="#impact")
    browser.sees_not("s9", within="#impact tbody")
    assert browser.run(WIDE) == []
    check(browser, "searched")
    browser.type(text, "nobody")
    browser.sees(none, within="#impact")
    browser.press(every)
    browser.sees(first, within="#impact")
