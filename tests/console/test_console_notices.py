"""How people are told: each way with how it does, and a test of it, by a button."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from maestro.ports import free_port
from tests.support.background import Background
from tests.support.browser import Browser
from tests.support.looks import WIDE, check
from tests.support.mail import MailServer
from tests.support.scene import Scene
from tests.support.stage import stage

WORDS = {
    "en": ("How people are told", "Send a test: email", "A message that says that it is a test", "Your name",
           "email: arrived", "Send a test: webhook", "webhook: did not arrive"),
    "pt-BR": ("Como as pessoas são avisadas", "Enviar um teste: email", "Uma mensagem que diz que é um teste",
              "Seu nome", "email: chegou", "Enviar um teste: webhook", "webhook: não chegou"),
}  # fmt: skip


@dataclass
class Told:
    """A Maestro that tells people by e-mail, and by a webhook that nobody answers."""

    scene: Scene
    mail: MailServer


@pytest.fixture(scope="module")
def told(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    mail = MailServer()
    background.run(mail.__aenter__())
    environ = {
        "MAESTRO_NOTIFY__WEBHOOK__URL": f"http://127.0.0.1:{free_port()}/hook",
        "MAESTRO_NOTIFY__WEBHOOK__SECRET": "sixteen characters",
        "MAESTRO_NOTIFY__EMAIL__HOST": "127.0.0.1", "MAESTRO_NOTIFY__EMAIL__PORT": str(mail.port),
        "MAESTRO_NOTIFY__EMAIL__SECURITY": "none", "MAESTRO_NOTIFY__EMAIL__SENDER": "maestro@example.org",
        "MAESTRO_NOTIFY__EMAIL__TO": "ops@example.org",
    }  # fmt: skip
    context = stage(tmp_path_factory.mktemp("told"), **environ)
    it = background.run(context.__aenter__())
    yield Told(Scene(background, it), mail)
    background.run(context.__aexit__(None, None, None))
    background.run(mail.__aexit__())


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_a_test_is_sent_by_each_way(window: Browser, told: Told, language: str, size: tuple[int, int]) -> None:
    title, by_mail, means, name, arrived, by_hook, lost = WORDS[language]
    window.size(*size)
    window.prefers("light")
    window.fresh(told.scene.url, language=language)
    window.open("#/systems")
    window.sees(title, "email", "webhook", within="#notices")
    before = len(told.mail.got)
    window.press(by_mail)
    window.sees(means, within="dialog")
    window.type(name, "ana")
    window.press(by_mail)
    window.sees(arrived)
    window.until(lambda: len(told.mail.got) == before + 1, "the mail to be there")
    window.press(by_hook)
    window.press(by_hook)
    window.sees(lost)
    assert window.run(WIDE) == []
    check(window, "how people are told")
    assert window.problems() == []


def test_without_a_way_it_says_that_nobody_is_told(browser: Browser, scene: Scene) -> None:
    browser.open("#/systems")
    browser.sees("Nobody is told: no way is configured.", within="#notices")
