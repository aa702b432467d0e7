"""What is around the pages: languages, colours, the keyboard, narrow screens, signing in, and what may run at all."""

import re
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser
from tests.support.scene import REASON, Scene
from tests.support.tenant import Tenant

#: Answers that a gateway with access control gives to whoever has no token, or another one than "secret".
GUARDED = """
const fetch = window.fetch;
window.fetch = (url, options = {}) => {
  const sent = new Headers(options.headers).get("Authorization");
  if (url.startsWith("/console") || sent === "Bearer secret") return fetch(url, options);
  return Promise.resolve(new Response('{"status":"401","message":"a bearer token is needed"}', { status: 401 }));
};
"""

#: Lets a test cut the page off from its gateway: the stream that it reads ends, and nothing can be asked any more.
CUT_OFF = """
window.real = fetch;
window.fetch = async (url, options = {}) => {
  if (!url.endsWith("/stream")) return window.real(url, options);
  const ends = new AbortController();
  window.cut = () => {
    window.fetch = () => Promise.reject(new TypeError("Failed to fetch"));
    ends.abort();
  };
  return window.real(url, { ...options, signal: AbortSignal.any([options.signal, ends.signal]) });
};
"""


def test_the_browser_chooses_the_language_and_the_switch_changes_it(browser: Browser, scene: Scene) -> None:
    agent = browser.run("return navigator.userAgent")
    speak = "Emulation.setUserAgentOverride"
    browser.driver.execute_cdp_cmd(speak, {"userAgent": agent, "acceptLanguage": "pt-BR,pt"})
    browser.open()
    browser.sees("Precisa de você", "Sistemas em resumo")
    assert browser.run("return document.documentElement.lang") == "pt-BR"
    browser.driver.execute_cdp_cmd(speak, {"userAgent": agent, "acceptLanguage": "en-US,en"})
    browser.choose("Idioma", "English")
    browser.sees("Needs you", "Systems at a glance")
    browser.choose("Language", "Português")
    browser.open()
    browser.sees("Precisa de você")
    browser.driver.execute_cdp_cmd(speak, {"userAgent": agent, "acceptLanguage": "de"})
    browser.fresh(scene.url)
    browser.open()
    browser.sees("Needs you")
    browser.driver.execute_cdp_cmd(speak, {"userAgent": agent, "acceptLanguage": "en-US,en"})


def test_every_page_in_portuguese(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    browser.fresh(scene.url, language="pt-BR")
    for path, said in (
        ("#/", "quer gravar seus dados"),
        (f"#/reprocessing/{doc['id']}", "3 resultados prontos foram calculados com os dados antigos"),
        ("#/systems", "Todo sistema que o Maestro guarda"),
        (f"#/systems/{tenant.system}", "Nenhum evento falhou."),
        ("#/history", "Exportar CSV"),
        ("#/skipped", "Commits descartados"),
        ("#/stale", "Resultados desatualizados"),
        ("#/signin", "Este Maestro pergunta quem você é."),
        ("#/nowhere", "Página inexistente"),
    ):
        browser.open(path)
        browser.sees(said)


def test_a_decision_in_portuguese(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.mute(tenant)
    browser.fresh(scene.url, language="pt-BR")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Estas linhas NÃO chegarão ao domínio.", "Pelo menos 3 instâncias de 1 processo em 1 branch")
    browser.press("Verificar de novo")
    browser.sees("Verificado de novo: nada mudou.", within="#decide")
    browser.type("Por quê?", "cotação digitada errada")
    browser.type("Seu nome", "ana")
    browser.press("Aprovar e reexecutar 3")
    browser.sees("Reexecutar 0 de pelo menos 3", "Escoar", within="#run")
    scene.answers(tenant, 1)
    for button in ("Pausar", "Cancelar"):
        browser.press(button, exact=True)
        browser.type("Por quê?", "já basta")
        browser.press(button, exact=True)
        browser.until(lambda: not browser.text("dialog"), "the dialog to close")
    scene.answers(tenant, 2)
    browser.sees("Cancelado.", "Tentar de novo o que falta")
    browser.press("Tentar de novo o que falta")
    browser.type("Por quê?", "agora sim")
    browser.press("Tentar de novo o que falta", exact=True)
    scene.answers(tenant, 3)
    browser.sees("Pronto: os dados estão gravados", "3 reexecuções")


def test_colours_follow_the_system_or_the_switch(browser: Browser) -> None:
    def back() -> str:
        return str(browser.run("return getComputedStyle(document.body).backgroundColor"))

    browser.open()
    browser.sees("Needs you")
    light = back()
    browser.prefers("dark")
    dark = back()
    assert dark != light
    browser.choose("Colours", "Light")
    assert back() == light
    browser.open()
    browser.sees("Needs you")
    assert back() == light
    browser.choose("Colours", "Auto")
    assert back() == dark


def test_everything_can_be_done_with_the_keyboard(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    browser.open()
    browser.sees(tenant.system, within=".inbox")
    browser.tab_to("Skip to the content", 3)
    browser.key(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"
    browser.run(
        "[...document.querySelectorAll('.inbox a')].find((a) => a.dataset.key === arguments[0]).focus()", doc["id"]
    )
    browser.key(Keys.ENTER)
    browser.sees("Your decision")
    browser.tab_to("Graph")
    browser.key(Keys.SPACE)
    browser.sees("brought by a cascade")
    browser.tab_to("reason")
    browser.key(REASON, Keys.TAB, "ana")
    browser.tab_to("Skip and discard the commit")
    browser.key(Keys.ENTER)
    browser.sees("Skipped: the data was not saved")
    browser.press("Reconsider")
    assert browser.run("return document.activeElement.name") == "reason", "a dialog takes the focus"
    browser.key(Keys.ESCAPE)
    browser.until(lambda: not browser.text("dialog"), "Escape to close it")
    assert browser.run("return document.activeElement.innerText") == "Reconsider", "and gives it back"


def test_the_focus_outlives_updates(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    scene.mute(tenant)
    scene.post(doc, "approve")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees("Replay 0 of at least 3")
    browser.tab_to("Pause")
    scene.answers(tenant, 1)
    browser.sees("Replay 1 of at least 3")
    assert browser.run("return document.activeElement.innerText") == "Pause"
    scene.answers(tenant, 2)
    scene.answers(tenant, 3)


@pytest.mark.parametrize("path", ["#/", "#/systems", "#/history", "#/skipped", "decision", "system"])
def test_nothing_is_wider_than_a_phone(browser: Browser, scene: Scene, tenant: Tenant, path: str) -> None:
    doc = scene.hold(tenant, "fix", *(f"p{number}" for number in range(6)))
    scene.run(tenant.publish("w1"))
    page = {"decision": f"#/reprocessing/{doc['id']}", "system": f"#/systems/{tenant.system}"}.get(path, path)
    browser.size(360, 740)
    browser.open(page)
    browser.sees_not("Loading …")
    browser.sees(tenant.system if path != "#/skipped" else "The newest first")
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    if path == "decision":
        browser.press("Go to the decision")
        assert browser.run("return document.activeElement.name") == "reason"


def test_without_a_token_one_is_asked_to_sign_in(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    browser.open("#/nowhere")
    browser.sees("No such page")
    browser.run(GUARDED)
    browser.run("location.hash = arguments[0]", f"#/systems/{tenant.system}")
    browser.sees("This Maestro asks who you are.")
    browser.type("Token", "wrong")
    browser.press("Sign in")
    browser.sees("This token is not accepted.")
    browser.type("Token", "secret")
    browser.press("Sign in")
    browser.sees("Waiting events", tenant.system)
    assert browser.run("return [localStorage.getItem('maestro.token'), sessionStorage.getItem('maestro.token')]") == [
        None, "secret",
    ]  # fmt: skip
    browser.press("Sign out")
    browser.sees("This Maestro asks who you are.")
    assert browser.run("return sessionStorage.getItem('maestro.token')") is None


@pytest.mark.parametrize(
    ("language", "text", "as_of"),
    [
        ("en", "Maestro cannot be reached.", "How it is now is not known."),
        ("pt-BR", "Não é possível alcançar o Maestro.", "A de agora não é conhecida."),
    ],
)
def test_a_maestro_out_of_reach_is_said_and_noticed_when_back(
    browser: Browser, scene: Scene, tenant: Tenant, language: str, text: str, as_of: str
) -> None:
    browser.fresh(scene.url, language=language)
    browser.open("#/nowhere")
    browser.run(CUT_OFF)
    browser.run("location.hash = '#/'")
    browser.until(lambda: browser.row(tenant.system) and browser.run("return !!window.cut"), "its stream")
    lead = browser.text("main .lead")
    browser.run("cut()")
    browser.until(lambda: text in browser.text("main"), "it is said", 5.0)  # at once, not when the next look is due
    browser.sees(as_of)
    assert lead
    assert not browser.text("main .lead"), "nothing is claimed that is not known"
    assert browser.row(tenant.system)
    assert browser.run("return getComputedStyle(document.querySelector('.aged')).filter") == "grayscale(1)"
    assert "Failed to fetch" not in browser.text("body"), "these are the browser's words, in a language of its own"
    browser.run("window.fetch = window.real")
    browser.until(lambda: text not in browser.text("body"), "it is noticed")
    browser.until(lambda: browser.text("main .lead") and as_of not in browser.text("main"), "all is known again")


@pytest.mark.parametrize(
    ("language", "title", "said"),
    [
        ("en", "No such reprocessing", "There is no reprocessing 0198f6."),
        ("pt-BR", "Reprocessamento inexistente", "Não há reprocessamento 0198f6."),
    ],
)
def test_a_reprocessing_that_does_not_exist(
    browser: Browser, scene: Scene, language: str, title: str, said: str
) -> None:
    browser.fresh(scene.url, language=language)
    browser.open("#/reprocessing/0198f6")
    browser.sees(title, said)
    assert title in browser.driver.title


def test_an_older_maestro_is_lived_with(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    doc = scene.hold(tenant)
    browser.open("#/")
    browser.run(r"""const fetch = window.fetch; window.fetch = (url, options) =>
        /entities|errors|stream|skipped|config/.test(url)
        ? Promise.resolve(new Response('{"status":"404","message":"no"}', { status: 404 })) : fetch(url, options)""")
    browser.run("location.hash = arguments[0]", f"#/reprocessing/{doc['id']}")
    browser.sees("This Maestro does not tell which rows the commit writes.", "Approve and replay 3")
    browser.run("location.hash = arguments[0]", f"#/systems/{tenant.system}")
    browser.sees("This Maestro cannot show them here.")


def test_data_is_text_whatever_it_says(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    evil = "<img src=x onerror=window.pwned=1>"
    doc = scene.hold(tenant, "fix", "p1", note=evil)
    browser.open()
    browser.sees(evil, within=".inbox")
    browser.open(f"#/reprocessing/{doc['id']}")
    browser.sees(evil)
    browser.press("Graph")
    assert browser.run("return window.pwned ?? document.querySelector('main img')") is None


def test_a_system_that_is_not_there_has_no_lists(browser: Browser, scene: Scene) -> None:
    browser.open("#/systems/nosuch")
    browser.sees("nosuch")
    browser.sees_not("Loading …")
    assert "Waiting events" not in browser.text("main")
    assert browser.run("return document.querySelectorAll('main .notice, main .state').length") > 0


def test_a_counter_says_why_what_waited_came_again(browser: Browser, scene: Scene, tenant: Tenant) -> None:
    browser.open(f"#/systems/{tenant.system}")
    browser.sees("met again and recognised: also the copy of each event that waited", within=".counters")


ALONE = "What is shown here alone takes about 3.9\N{NO-BREAK SPACE}s."
PENDING = {
    "id": "d", "systemId": "s", "tag": "", "status": "pending_approval", "digest": "x", "units": [], "events": [],
    "history": [], "page": {"total": 61}, "estimate": {"seconds": 3.9, "basis": "a mean"},
}  # fmt: skip
GROWS = {"units": 244, "least": 200, "most": 300, "runs": 4, "name": "x", "surprise": {"shown": 0, "made": 0}}
DRAW = """const [doc, done] = arguments;
import("/console/js/decision/decide.js").then(({ decide }) => {
  const problem = document.createElement("p");
  const { element, update } = decide(doc, { config: { typeSystemAbove: 50 }, problem });
  update(null);
  document.body.append(element);
  done(element.querySelector(".cost.approve").innerText);
}, (problem) => done(String(problem)));
"""


@pytest.mark.parametrize(
    ("likely", "said"),
    [
        (GROWS | {"seconds": 17.2}, ["Usually it becomes 244 replays in all: about 17\N{NO-BREAK SPACE}s.", ALONE]),
        (GROWS | {"seconds": None}, ["Usually it becomes 244 replays in all.", ALONE]),
        (None, ["It will take about 3.9\N{NO-BREAK SPACE}s."]),
    ],
)
def test_both_times_of_a_decision_say_what_they_are_of(
    browser: Browser, scene: Scene, likely: dict[str, Any] | None, said: list[str]
) -> None:
    browser.open("#/nowhere")
    text = browser.driver.execute_async_script(DRAW, PENDING | {"likely": likely})
    for sentence in said:
        assert sentence in text
    assert ("It will take" in text) == (likely is None)


def test_the_api_description_reads_as_prose(browser: Browser, scene: Scene) -> None:
    browser.open("docs")
    browser.sees("Consume a system's persist queue from now on. Role: platform.")
    text = browser.text("body")
    assert "`" not in text
    assert not re.search(r"[a-z] Role: ", text), "a full stop stands between"
