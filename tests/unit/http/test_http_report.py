"""The decision report: its facts, its canonical form, its page in two languages, who gets it, and what stays of it."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from maestro.http.actor_client import Unavailable
from maestro.http.replies import reply
from maestro.http.report import facts as gathering
from maestro.http.report.form import canonical, digest
from maestro.http.report.page import STYLE_SOURCE, rendered
from maestro.http.report.texts import EN, LANGUAGES, PT, words_of
from maestro.language import from_header
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import GetDocument, GetReplays
from maestro.rules import preview
from maestro.rules.ids import document_id
from maestro.rules.unit import UnitState
from maestro.statuses import Status
from tests.unit.http.authentication_kit import House, house
from tests.unit.http.conftest import Client
from tests.unit.http.fake_actor_client import FakeActorClient, FakePages
from tests.unit.http.report_kit import ID, JSON, System, unit

OF_B = document_id("sysB", b"0123456789")
PATH = f"/v1.0.0/reprocessing/{ID}/report"
DEMAND = {
    "approval": "two_approvers", "skipRefused": True, "at": "2026-11-28T10:00:01.000001Z", "says": "…", "by": [{
        "name": "closed-period", "digest": "4d1c0a97be2f6e35", "effects": ["two_approvers", "refuse_skip"], "why": "…",
        "conditions": [
            {"setting": "data_before", "wanted": "2026-07-01", "found": "2026-03-14", "holds": True, "says": "…"},
            {"setting": "rows_from", "wanted": "5", "found": None, "holds": None, "says": "…"},
        ],
    }],
}  # fmt: skip


async def made(client: Client, actor_client: FakeActorClient, system: System, query: str = "") -> tuple[JSON, str]:
    """Return the facts and the page of a report."""
    actor_client.answers |= system.answers()
    form, page = await client.get(PATH + ".json"), await client.get(PATH + query)
    assert (form.status, page.status) == (200, 200), (form, page)
    assert page.headers["x-report-digest"] == form.headers["x-report-digest"] == hashlib.sha256(form.body).hexdigest()
    return form.json, page.body.decode()


# --- the form -----------------------------------------------------------------------------------------------------


def test_the_same_facts_have_the_same_form() -> None:
    assert (
        canonical({"b": [1.5, None], "a": {"é": "x", "d": True}}) == b'{"a":{"d":true,"\xc3\xa9":"x"},"b":[1.5,null]}'
    )
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert digest(canonical({})) == hashlib.sha256(b"{}").hexdigest()
    assert canonical({"a": "\ud800"}) == b'{"a":"?"}', "what no encoder takes"


# --- the texts ----------------------------------------------------------------------------------------------------


def forms(text: object) -> tuple[str, ...]:
    return text if isinstance(text, tuple) else (str(text),)


def test_both_languages_say_the_same_with_the_same_values() -> None:
    assert EN.keys() == PT.keys()
    for key, text in EN.items():
        names = {name for form in forms(text) for name in re.findall(r"\{(\w+)\}", form)}
        assert names == {name for form in forms(PT[key]) for name in re.findall(r"\{(\w+)\}", form)}, key
        assert len(forms(text)) == len(forms(PT[key])), key
        assert all(not re.search(r"\d", form.replace("SHA-256", "")) for form in forms(text) + forms(PT[key])), key


def test_every_status_and_state_has_a_word_and_no_word_is_unused() -> None:
    for table in LANGUAGES.values():
        assert {f"status.{status.value}" for status in Status} == {key for key in table if key.startswith("status.")}
        assert {f"unit.{state.value}" for state in UnitState} == {key for key in table if key.startswith("unit.")}
    source = (Path(gathering.__file__).parent / "page.py").read_text("utf-8")
    families = ("status.", "unit.", "change.", "named.", "brought.", "budget.", "lead.", "committed.", "effect.")
    unused = {key for key in EN if f'"{key}"' not in source and not key.startswith(families)}
    assert unused == set()


@pytest.mark.parametrize(
    ("language", "written"),
    [("en", ("0 values changed", "1 value changed", "2 values changed", "1,000 values changed")),
     ("pt-BR", ("0 valores mudaram", "1 valor mudou", "2 valores mudaram", "1.000 valores mudaram"))],
)  # fmt: skip
def test_numbers_come_from_the_value(language: str, written: tuple[str, ...]) -> None:
    words = words_of(language)
    assert tuple(words("values", n=n) for n in (0, 1, 2, 1000)) == written


def test_numbers_are_written_as_the_language_does() -> None:
    english, portuguese = words_of("en"), words_of("pt-BR")
    assert (english.number(1234567.25), portuguese.number(1234567.25)) == ("1,234,567.25", "1.234.567,25")
    assert (english.number(3, sign=True), english.number(-0.5, sign=True), english.number(0, sign=True)) == (
        "+3", "-0.5", "0",
    )  # fmt: skip
    assert [english.percent(one) for one in (12.44, -100.0, 0.01234, 1234.5)] == [
        "+12.4%", "-100%", "+0.0123%", "+1,234.5%",
    ]  # fmt: skip
    assert portuguese.percent(1234.5) == "+1.234,5%"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"), ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"), ("pt", "pt-BR"), ("en-GB, pt;q=0.5", "en"),
        ("fr, pt", "pt-BR"), ("fr", "en"), ("*", "en"), ("en;q=0.2, PT-pt;q=0.3", "pt-BR"), ("pt;q=0", "en"),
        ("pt;q=x", "en"), ("pt;q=7", "en"), (",;,", "en"), ("pt" + "," * 100_000, "pt-BR"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_asked_for_most(header: str, language: str) -> None:
    assert from_header(header) == language


# --- the facts ----------------------------------------------------------------------------------------------------


async def test_what_was_shown_is_what_no_replay_brought(client: Client, actor_client: FakeActorClient) -> None:
    facts, page = await made(client, actor_client, System(unit(1), unit(2), unit(3, cause=0), unit(4, cause=-2)))
    assert facts["shown"]["units"] == 2
    assert facts["shown"]["digest"] == preview.digest("c1", [("p1", "master"), ("p2", "master")])
    for said in ("would have made 2 results wrong", "the correction", "result 1", "the start of the run"):
        assert said in page, said
    assert "ana: approved, 2026-11-28 10:00:01. Reason: mistyped" in page.replace("</p>", "")
    assert [one["field"] for one in facts["asked"]["payload"]] == ["currency", "rate", "why"]
    assert facts["asked"]["payload"][2]["value"] == '{"a": [1]}'


async def test_thousands_of_units_are_counted_and_some_are_listed(
    client: Client, actor_client: FakeActorClient
) -> None:
    left = [{"instanceId": f"p{n}", "branch": "master", "user": "ben", "at": "2026-11-28T10:00:00.000000Z",
             "reason": "gone", "problem": ""} for n in range(4000)]  # fmt: skip
    system = System(*(unit(n, state="left_out" if n >= 1000 else "done") for n in range(5000)), leftOut=left)
    system.document["history"] += [system.entry("running", f"u{n}", 4) for n in range(3000)]
    facts, page = await made(client, actor_client, system)
    assert (facts["shown"]["units"], facts["ran"]["states"]) == (5000, {"done": 1000, "left_out": 4000})
    assert (facts["units"]["total"], len(facts["units"]["first"])) == (5000, gathering.UNITS)
    assert (facts["ran"]["leftOut"]["total"], len(facts["ran"]["leftOut"]["first"])) == (4000, gathering.NAMED)
    assert (facts["decided"]["total"], len(facts["decided"]["entries"])) == (3004, gathering.ENTRIES)
    assert facts["decided"]["entries"][0]["status"] == "pending_approval"
    for cut in ("Not listed here: 4,800 more.", "Not listed here: 3,950 more.", "Not listed here: 2,804 more."):
        assert cut in page
    assert len(page) < 300_000
    asked = [question for _, question, _ in actor_client.asked if isinstance(question, GetReplays)]
    assert [one.after for one in asked] == [0, 1000, 2000, 3000, 4000] * 2


async def test_what_this_run_overwrote_is_told_among_many(client: Client, actor_client: FakeActorClient) -> None:
    system = System(unit(1))
    system.stale = [
        {"number": n, "instanceId": f"w{n}", "branch": "master", "computation": "c1" if n > 1500 else "other",
         "missed": ["m"], "state": "overwrite"}
        for n in range(1, 1531)
    ]  # fmt: skip
    facts, page = await made(client, actor_client, system)
    assert (facts["changed"]["overwrites"]["total"], len(facts["changed"]["overwrites"]["first"])) == (30, 20)
    assert "30 results replaced values that they had not seen" in page
    assert "Not listed here: 10 more." in page


async def test_what_a_sibling_does_not_tell_is_said(
    client: Client, actor_client: FakeActorClient, pages: FakePages, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise Unavailable("the domain is away")

    monkeypatch.setattr(pages, "page", away)
    monkeypatch.setattr(pages, "explained", away)
    facts, page = await made(client, actor_client, System(unit(1, state="outstanding"), status="pending_approval"))
    assert facts["asked"]["writes"]["problem"] == "the domain is away"
    assert "What the commit writes is not known: the domain is away" in page
    assert facts["units"]["first"][0]["read"]["problem"] == "the domain is away"


@pytest.mark.parametrize(
    ("status", "was"), [("pending_approval", "5"), ("finished", "4"), ("skipped", "4"), ("failure", "4")]
)
async def test_once_decided_the_value_before_is_the_one_that_was_read(
    client: Client, actor_client: FakeActorClient, pages: FakePages, monkeypatch: pytest.MonkeyPatch,
    status: str, was: str,
) -> None:  # fmt: skip
    row = b'{"id":"a","saldo":6,"before":{"saldo":5},"_metadata":{"type":"conta","changeTrack":"update"}}'

    async def written(*_: object) -> Any:
        return reply(b'{"total":1,"entities":[%s],"next":null}' % row)

    monkeypatch.setattr(pages, "page", written)
    pages.read["c1"] = {("conta", "a"): {"id": "a", "saldo": 4}, ("conta", "b"): {"id": "b", "saldo": 9}}
    facts, _ = await made(client, actor_client, System(unit(1), status=status))
    [row_] = facts["asked"]["writes"]["rows"]
    assert (row_["was"], row_["is"]) == (was, "6")
    pages.read.clear()
    facts, _ = await made(client, actor_client, System(unit(1), status=status))
    assert facts["asked"]["writes"]["rows"][0]["was"] == ("5" if status == "pending_approval" else "")


async def test_what_was_noted_is_not_told_as_the_decision(client: Client, actor_client: FakeActorClient) -> None:
    system = System(unit(1), status="skipped")
    entry = system.entry
    system.document["history"] = [
        entry("pending_approval", "maestro", 0), entry("skipped", "ana", 1, reason="wrong source"),
        entry("skipped", "bob", 2, cause="reconsidered as event 7", reason="was right"),
    ]  # fmt: skip
    _, page = await made(client, actor_client, system)
    assert "ana: skipped, 2026-11-28 10:00:01. Reason: wrong source" in page.replace("</p>", "")
    assert "bob: skipped" not in page
    assert re.search(r"<div>note</div></td><td[^>]*><div>bob</div>", page)


async def test_a_late_document_holds_nothing(client: Client, actor_client: FakeActorClient, pages: FakePages) -> None:
    _, page = await made(client, actor_client, System(unit(1), late=True))
    assert pages.asked == []
    assert "1 result was out of date." in page
    assert "Held commit" not in page


async def test_no_fact_says_when_or_for_whom(client: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers |= System(unit(1)).answers()
    first, second = await client.get(PATH + ".json"), await client.get(PATH + ".json")
    assert first.body == second.body
    system = System(unit(1))
    system.document["history"][1]["reason"] = "another"
    actor_client.answers |= system.answers()
    assert (await client.get(PATH + ".json")).headers["x-report-digest"] != first.headers["x-report-digest"]


# --- the page -----------------------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\"'&lt;\u202e\ud800]]><!--"


class Seen(HTMLParser):
    """Collects tags, and what could lead elsewhere or do anything."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.leads: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.leads += [name for name, _ in attrs if name in ("href", "src", "style", "srcset") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("What the policies demanded", "two approvals, no skip", "rows_from = 5 (not known)")),
        ("pt-BR", ("O que as políticas exigiram", "duas aprovações, nenhum descarte", "rows_from = 5 (não se sabe)")),
    ],
)
async def test_what_policies_demanded(
    client: Client, actor_client: FakeActorClient, language: str, says: tuple[str, ...]
) -> None:
    facts, page = await made(client, actor_client, System(unit(1), policies=DEMAND), f"?language={language}")
    (policy,) = facts["decided"]["policies"]
    assert (policy["name"], policy["digest"], policy["effects"]) == (
        "closed-period", "4d1c0a97be2f6e35", ["two_approvers", "refuse_skip"],
    )  # fmt: skip
    for text in (*says, "closed-period", "4d1c0a97be2f6e35", "data_before = 2026-07-01 (2026-03-14)"):
        assert text in page
    _, page = await made(client, actor_client, System(unit(1), policies=None), f"?language={language}")
    assert says[0] not in page


def poisoned(value: Any, key: str = "") -> Any:
    """Return facts in which every text is hostile."""
    if isinstance(value, dict):
        return {name: poisoned(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one, key) for one in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("language", ["en", "pt-BR"])
async def test_every_value_is_escaped(client: Client, actor_client: FakeActorClient, language: str) -> None:
    system = System(unit(1), unit(2, state="set_aside", problem="gone", doneAt=None))
    system.document |= {
        "setAside": [{"instanceId": "p2", "branch": "master", "problem": "gone"}],
        "firstApproval": {"user": "ben", "at": "2026-11-28T10:00:00.000000Z", "reason": "ok"},
        "heldNamedBy": "x", "notFinished": [{"instanceId": "n", "branch": "master"}],
        "budget": {"replays": 5, "minutes": 2.5}, "policies": DEMAND,
    }  # fmt: skip
    facts, _ = await made(client, actor_client, system)
    value = {
        "instanceId": "p1", "unitBranch": "master", "type": "t", "id": "i", "branch": "master", "about": "a",
        "field": "f", "change": "changed", "before": "b", "after": 2.5, "difference": 1.5, "percent": 10.0,
    }  # fmt: skip
    counts = "units looked replayed compared failed pending changed added destroyed unread unchanged"
    summary = dict.fromkeys(counts.split(), 2)
    facts["changed"]["summary"] = summary | {"problem": "p", "largest": value}
    facts["changed"]["biggest"] = [value, value | {"change": "added", "before": None, "difference": None}]
    overwrite = {"instanceId": "w", "branch": "master", "missed": ["m"], "values": [value], "problem": ""}
    facts["changed"]["overwrites"] = {"total": 2, "first": [overwrite, overwrite | {"values": []}]}
    facts["asked"]["writes"]["rows"] = [{"type": "t", "id": "i", "change": "changed", "is": "5", "was": "4"}]

    words = words_of(language)
    sane = rendered(facts, words, digest="d", made_at=0, made_for="ana").decode()
    page = rendered(poisoned(facts), words, digest=HOSTILE, made_at=0, made_for=HOSTILE).decode()
    seen, expected = Seen(), Seen()
    seen.feed(page)
    expected.feed(sane)
    assert seen.tags == expected.tags
    assert "script" not in seen.tags
    assert seen.leads == []
    assert seen.text.count("<script>alert(1)</script>") > 30
    for said in (words.number(2.5), words.percent(10.0), words("budget.replays", n=5), words("values", n=2)):
        assert said in sane


async def test_the_page_needs_nothing_and_may_nothing_but_its_style(
    client: Client, actor_client: FakeActorClient
) -> None:
    actor_client.answers |= System(unit(1)).answers()
    reply = await client.call("GET", PATH, Accept_Language="pt")
    page = reply.body.decode()
    policy = reply.headers["content-security-policy"]
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{hashed}'" == STYLE_SOURCE
    assert policy == (
        f"default-src 'none'; style-src {STYLE_SOURCE}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert f'<meta content="{policy.partition("; frame")[0]}" http-equiv="Content-Security-Policy">' in page
    assert '<html lang="pt-BR">' in page
    assert not re.search(r"https?://|url\(|@import", page)
    assert (reply.headers["vary"], reply.headers["content-language"]) == ("Accept-Language", "pt-BR")
    assert reply.headers["content-disposition"] == f'inline; filename="report-{ID}.html"'
    assert reply.headers["content-type"] == "text/html; charset=utf-8"


# --- who gets it, and what stays of it ------------------------------------------------------------------------------


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as it:
        it.actor_client.answers |= System(unit(1)).answers()
        yield it


async def test_a_viewer_of_the_system_gets_it_and_the_audit_log_has_its_digest(at: House) -> None:
    reply = await at.call("eve", "GET", PATH + "?language=pt-BR")
    assert reply.status == 200
    [line] = at.audit()
    assert [line[name] for name in ("who", "what", "system", "target", "outcome")] == [
        "eve", "report", "sysA", ID, "done",
    ]  # fmt: skip
    assert line["facts"] == {"digest": reply.headers["x-report-digest"], "language": "pt-BR"}
    assert ">eve<" in reply.body.decode()
    assert (await at.call("eve", "GET", PATH + ".json")).headers["x-report-digest"] == line["facts"]["digest"]
    assert [line["what"] for line in at.audit()] == ["report", "report_json"]


async def test_nobody_else_does(at: House) -> None:
    for what in (PATH, PATH + ".json"):
        assert (await at.call("restricted", "GET", what)).is_error(404)
        assert (await at.call("events", "GET", what)).is_error(403)
        assert (await at.call(None, "GET", what)).is_error(401)
    assert (await at.call("eve", "GET", PATH.replace(ID, OF_B))).is_error(404)
    assert (await at.call("eve", "GET", PATH + "?language=fr")).is_error(400, "language", "en or pt-BR")
    assert at.audit() == []


async def test_a_document_that_is_not_there_is_not_recorded(at: House) -> None:
    at.actor_client.answers[GetDocument] = Answer(Code.NOT_FOUND, message="no reprocessing")
    assert (await at.call("eve", "GET", PATH)).is_error(404)
    at.actor_client.answers[GetDocument] = Answer(Code.UNAVAILABLE, message="store: disk full")
    assert (await at.call("eve", "GET", PATH)).is_error(503, "disk full")
    assert at.audit() == []


async def test_without_an_audit_log_that_can_be_written_there_is_none(at: House) -> None:
    assert (await at.call("eve", "GET", PATH)).status == 200
    [file] = (at.folder / "audit").glob("audit-*.jsonl")
    file.unlink()
    file.mkdir()
    answers = [(await at.call("eve", "GET", PATH)).status for _ in range(2)]
    file.rmdir()
    assert answers[-1] == 503, "as for a decision"
