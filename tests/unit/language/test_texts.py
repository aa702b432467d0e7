"""A text with its values, in the language that is spoken."""

import asyncio

import pytest

from maestro.language import figure, language, speaking, t, tn, told


def test_a_text_and_its_values() -> None:
    assert t("as event {number}", number="12") == "as event 12"
    with speaking("pt-BR"):
        assert t("as event {number}", number="12") == "como evento 12"
        assert t("no text of Maestro's") == "no text of Maestro's"
        assert t("") == ""
    assert t("as event {number}", number="12") == "as event 12"


def test_a_value_with_braces_is_no_placeholder() -> None:
    assert t("as event {number}", number="{x}") == "as event {x}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("en", ["0 events", "1 event", "2 events", "1,000 events"]),
        ("pt-BR", ["0 eventos", "1 evento", "2 eventos", "1.000 eventos"]),
        ("de", ["0 events", "1 event", "2 events", "1,000 events"]),
    ],
)
def test_figures_come_from_the_value(name: str, said: list[str]) -> None:
    with speaking(name):
        assert [tn("{n} event", "{n} events", n) for n in (0, 1, 2, 1000)] == said


def test_figures_are_written_as_the_language_does() -> None:
    with speaking("pt-BR"):
        assert (figure(1234567), figure(1234.5, ",.1f"), figure(-0.25, "+.3g")) == ("1.234.567", "1.234,5", "-0,25")
        assert t("replays: {progress}", progress=1.5) == "reexecuções: 1,5"
        assert t("replays: {progress}", progress=True) == "reexecuções: True"
    assert (figure(1234567), figure(1234.5, ",.1f")) == ("1,234,567", "1,234.5")


async def test_each_task_speaks_its_own_language() -> None:
    async def speak(name: str) -> str:
        with speaking(name):
            await asyncio.sleep(0)
            return f"{language()} {t('nothing waits')}"

    assert await asyncio.gather(speak("pt-BR"), speak("en")) == ["pt-BR nada espera", "en nothing waits"]
    assert language() == "en"


@pytest.mark.parametrize(
    ("english", "portuguese"),
    [
        ("nothing waits", "nada espera"),
        ("no answer within 30 s", "nenhuma resposta em 30 s"),
        ("http://m:1: the stream ended", "http://m:1: o fluxo terminou"),
        ("http://m:1: no answer within 2 s", "http://m:1: nenhuma resposta em 2 s"),
        ("ingress; no answer within 2 s", "ingress; nenhuma resposta em 2 s"),
        ("token file /a: is no text", "arquivo de token /a: não é texto"),
        ("a service's own words", "a service's own words"),
        ("", ""),
        ("two\nlines {with} braces", "two\nlines {with} braces"),
    ],
)
def test_what_was_said_in_english(english: str, portuguese: str) -> None:
    assert told(english) == english
    with speaking("pt-BR"):
        assert told(english) == portuguese
        assert told(portuguese) == portuguese


def test_what_is_long_is_no_sentence_of_maestros() -> None:
    with speaking("pt-BR"):
        assert told("no answer within " + "9" * 5000 + " s").startswith("no answer")
