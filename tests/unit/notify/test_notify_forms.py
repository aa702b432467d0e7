"""What notices say, in both languages, and the form of each way; hostile values are text in all of them."""

import email
import email.policy
import json
import re
from typing import Any

import pytest

from maestro.messages.todo import TodoItem, Waits
from maestro.notify import forms
from maestro.notify.plan import Due, Step
from maestro.notify.texts import LISTED, TABLES, Message, message
from maestro.notify.texts import test_message as a_test_message
from maestro.settings.notify import NotifySettings

URL = "https://maestro.example.org"
HOSTILE = "<!channel> *x* <https://evil.example|click> [a](https://evil.example) & \ud800\r\nBcc: all@example.org\x00"


def due(kind: Waits = Waits.PENDING, waited: float = 0.0, **more: Any) -> Due:
    fields = {"kind": kind, "system": "sysA", "event": "rectify quote", "about": "USD", "units": 3, "left": 2,
              "set_aside": 1, "count": 5, "sibling": "discovery"}  # fmt: skip
    return Due("sysA/x", Step.FIRST, TodoItem(**fields | more), waited)


def told(*some: Due, language: str = "en", step: Step = Step.FIRST) -> Message:
    return message(some, step, language, URL)


def test_both_languages_say_the_same_with_the_same_values() -> None:
    english, portuguese = TABLES["en"], TABLES["pt-BR"]
    assert english.keys() == portuguese.keys()
    for key, text in english.items():
        one, other = (form if isinstance(form, tuple) else (form,) for form in (text, portuguese[key]))
        assert len(one) == len(other), key
        names = [{name for form in some for name in re.findall(r"\{(\w+)\}", form)} for some in (one, other)]
        assert names[0] == names[1], key


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_every_kind_and_step_has_its_words(language: str) -> None:
    lines = [told(due(kind), language=language).lines[0].text for kind in Waits]
    assert len(set(lines)) == len(Waits)
    titles = [told(due(), language=language, step=step).title for step in Step]
    assert len(set(titles)) == 3
    assert set(NotifySettings().kinds) < {kind.value for kind in Waits}


@pytest.mark.parametrize(
    ("language", "n", "title", "text"),
    [
        ("en", 1, "Maestro: 1 thing waits for a person", "1 result would be computed again"),
        ("en", 1000, "", "1,000 results would be computed again"),
        ("pt-BR", 1, "Maestro: 1 item espera uma pessoa", "1 resultado seria calculado de novo"),
        ("pt-BR", 1000, "", "1.000 resultados seriam calculados de novo"),
        ("pt-BR", 0, "", "0 resultados seriam calculados de novo"),
    ],
)
def test_numbers_come_from_the_value(language: str, n: int, title: str, text: str) -> None:
    said = told(due(units=n), language=language)
    assert said.title.startswith(title)
    assert text in said.lines[0].text


def test_a_line_says_what_is_held_up_how_long_and_why() -> None:
    paused = due(Waits.PAUSED, 7300, locked=True, waiting=4, cause="budget of 5 replays used", reprocessing="r/1")
    [line] = told(paused).lines
    assert line.title == "sysA · rectify quote · USD"
    assert line.text == (
        "paused with 2 replays left: resume or cancel it; the system is locked; 4 events wait behind it; for 2 hours "
        "(budget of 5 replays used)"
    )
    assert line.link == f"{URL}/#/reprocessing/r%2F1"
    assert told(due(Waits.STALLED)).lines[0].link == f"{URL}/#/systems/sysA"
    assert message([paused], Step.FIRST, "en", "").lines[0].link == "", "it is not known where people open the console"


def test_many_things_are_one_message_that_lists_some() -> None:
    said = told(*(due() for _ in range(1234)))
    assert (said.title, len(said.lines)) == ("Maestro: 1,234 things wait for a person", LISTED)
    assert said.more == "and 1,224 more"


def test_slack_has_blocks_and_no_markup_of_strangers() -> None:
    sent = json.loads(forms.slack(told(due(event=HOSTILE, cause="<@U1>" * 100, reprocessing="r1"))))
    header, section, context = sent["blocks"]
    assert header == {"type": "header", "text": {"type": "plain_text", "text": "Maestro: 1 thing waits for a person"}}
    text = section["text"]["text"]
    assert "&lt;!channel&gt;" in text
    assert re.findall(r"<[^>]*>", text) == [f"<{URL}/#/reprocessing/r1|Open>"]
    assert len(text) <= 3000
    assert context["elements"][0]["text"] == f"<{URL}/|Everything that waits>"


def test_teams_has_a_card_whose_texts_know_no_markup() -> None:
    sent = json.loads(forms.teams(told(*(due(event=HOSTILE, about="x" * 5000, reprocessing="r1") for _ in range(99)))))
    [attachment] = sent["attachments"]
    card = attachment["content"]
    assert (sent["type"], attachment["contentType"], card["type"]) == (
        "message", "application/vnd.microsoft.card.adaptive", "AdaptiveCard",
    )  # fmt: skip
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert {run["type"] for block in card["body"] for run in block["inlines"]} == {"TextRun"}
    links = [run["selectAction"]["url"] for block in card["body"] for run in block["inlines"] if "selectAction" in run]
    assert links == [f"{URL}/#/reprocessing/r1"] * LISTED
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Everything that waits", "url": f"{URL}/"}]
    assert len(forms.teams(told(*(due(about="x" * 5000) for _ in range(99))))) < 28_000


def test_our_own_form_has_all_that_is_known() -> None:
    sent = json.loads(forms.json(told(due(cause="c", reprocessing="r1")), Step.FIRST, 1795953600.0))
    assert (sent["type"], sent["at"], sent["link"]) == ("notice.first", "2026-11-29T12:00:00Z", f"{URL}/")
    [thing] = sent["things"]
    assert (thing["step"], thing["link"], thing["item"]["kind"]) == ("first", f"{URL}/#/reprocessing/r1", "pending")
    assert thing["item"]["units"] == 3
    assert json.loads(forms.json(a_test_message("en", ""), None, 0.0))["type"] == "notice.test"


def test_an_email_is_plain_and_takes_no_header_from_what_it_says() -> None:
    said = told(due(event=HOSTILE, about="ação", reprocessing="r1"))
    made = forms.email(said, "maestro@example.org", ("a@example.org", "b@example.org"), 1795953600.0)
    read = email.message_from_bytes(made.as_bytes(), policy=email.policy.default)
    assert read["Subject"] == "Maestro: 1 thing waits for a person"
    assert (read["From"], read["To"]) == ("maestro@example.org", "a@example.org, b@example.org")
    assert (read["Bcc"], read["Auto-Submitted"]) == (None, "auto-generated")
    assert read["Date"] == "Sun, 29 Nov 2026 12:00:00 +0000"
    assert read.get_content_type() == "text/plain"
    text = read.get_content()
    assert "ação" in text
    assert f"{URL}/#/reprocessing/r1" in text
    assert text.rstrip().endswith(f"Everything that waits: {URL}/")
