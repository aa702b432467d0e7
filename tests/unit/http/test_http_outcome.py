"""What a reprocessing changed: asked of Process Memory when somebody looks, within bounds."""

import asyncio
import csv
import io
from contextlib import suppress
from typing import Any

import orjson
import pytest

from maestro.http import outcome
from maestro.http.actor_client import UnknownSystem
from maestro.http.app import create_app
from maestro.http.comparing import Value
from maestro.http.outcome import Outcomes, Replays, UnitReplayed
from maestro.http.outcome_csv import COLUMNS, exported
from maestro.http.server import serve_http
from maestro.language import speaking
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import GetReplays, Question
from maestro.platform import Platform
from maestro.rules.ids import document_id
from tests.support.siblings import RecordingSiblings
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient, FakePages


def row(id_: str, value: object, track: str | None = None) -> dict[str, Any]:
    return {"id": id_, "valor": value, "_metadata": {"type": "conta", "branch": "master", "changeTrack": track}}


def dataset(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"dataset": {"entities": {"conta": list(rows)}}}


def unit(number: int, replay: str = "", state: str = "done", first: str = "") -> UnitReplayed:
    return UnitReplayed(f"p{number}", "master", state, 1, first or replay, replay)


def asked(*units: UnitReplayed, total: int = 0, following: int | None = None) -> Replays:
    return Replays("sysA", "finished", total or len(units), list(units), following)


def computed(siblings: RecordingSiblings, replay: str, before: object, after: object) -> None:
    siblings.read[replay] = dataset(row("c1", before))
    siblings.heads[replay] = dataset(row("c1", after, "update"))


async def told(siblings: RecordingSiblings, *units: UnitReplayed, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        outcomes = Outcomes(platform, timeout)
        try:
            return await outcomes.told("r1", asked(*units), units)
        finally:
            await outcomes.close()


async def test_units_and_their_summary_are_told_the_biggest_change_first() -> None:
    async with RecordingSiblings() as siblings:
        computed(siblings, "re1", 100, 112.4)
        computed(siblings, "re2", 10, 9)
        computed(siblings, "re3", 5, 5)
        siblings.heads["re4"], siblings.read["re4"] = dataset(row("new", 1, "create")), dataset()
        found = await told(
            siblings, unit(1, "re2"), unit(2, "re1"), unit(3, "re3"), unit(4, "re4"), unit(5, state="sent")
        )

    summary = found["summary"]
    assert {name: summary[name] for name in ("units", "replayed", "compared", "failed", "pending")} == {
        "units": 5, "replayed": 4, "compared": 4, "failed": 0, "pending": 0,
    }  # fmt: skip
    assert (summary["changed"], summary["added"], summary["unchanged"]) == (2, 1, 1)
    assert (summary["largest"]["instanceId"], summary["largest"]["percent"]) == ("p2", 12.4)
    assert [(one["instanceId"], one["change"]) for one in found["biggest"]] == [
        ("p2", "changed"), ("p1", "changed"), ("p4", "added"),
    ]  # fmt: skip
    assert [one["problem"] for one in found["units"]] == ["", "", "", "", outcome.NOT_REPLAYED]


async def test_of_several_rounds_the_first_read_and_the_last_computation_count() -> None:
    async with RecordingSiblings() as siblings:
        computed(siblings, "re1", 10, 15)
        computed(siblings, "re2", 15, 20)
        found = await told(siblings, unit(1, "re2", first="re1"))

    [value] = found["units"][0]["values"]
    assert (value["before"], value["after"], value["percent"]) == (10, 20, 100.0)


async def test_what_is_not_to_be_had_is_said_and_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RecordingSiblings() as siblings:
        computed(siblings, "re1", 1, 2)
        siblings.fail("process_memory", "history", 1, 400, when=lambda call: call.instance_id == "re1")
        async with await Platform.open(siblings.settings(tries=1)) as platform:
            outcomes = Outcomes(platform, 5.0)
            units = (unit(1, "re1"), unit(2, "re2"), unit(3, state="done"), unit(4, state="left_out"))
            found = await outcomes.told("r1", asked(*units), units)
            assert "400" in found["units"][0]["problem"]
            assert [one["problem"] for one in found["units"][1:]] == [
                outcome.NO_HISTORY, outcome.NO_RESULT, outcome.LEFT_OUT,
            ]  # fmt: skip
            assert (found["summary"]["failed"], found["summary"]["pending"]) == (2, 0)
            assert "400" in found["summary"]["problem"]
            before = siblings.count("history")
            await outcomes.told("r1", asked(*units), units)
            assert siblings.count("history") == before, "not asked again at once"
            monkeypatch.setattr(outcome.time, "monotonic", lambda now=outcome.time.monotonic: now() + outcome.AGAIN + 1)
            found = await outcomes.told("r1", asked(*units), units)
            assert (found["units"][0]["changed"], found["units"][0]["problem"]) == (1, "")


async def test_what_is_done_is_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "UNITS", 2)
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        outcomes = Outcomes(platform, 5.0)
        for number in (1, 2, 3):
            computed(siblings, f"re{number}", 1, 2)
        for number in (1, 2, 2, 1, 3, 2, 1):
            one = unit(number, f"re{number}")
            await outcomes.told("r1", asked(one), (one,))
        assert [call.instance_id for call in siblings.calls("history")] == ["re1", "re2", "re3", "re2", "re1"]


async def test_a_unit_that_is_not_done_is_not_kept_for_long() -> None:
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        outcomes = Outcomes(platform, 5.0)
        computed(siblings, "re1", 1, 2)
        one = unit(1, "re1", state="committing")
        found = await outcomes.told("r1", asked(one), (one,))
        assert found["units"][0]["changed"] == 1
        [known] = outcomes._known.values()
        assert known.until is not None


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (b"{}", "not the agreed answer"),
        (b"[1,2,3]", "not the agreed answer"),
        (b'[{},{"dataset":{"entities":[]}},{"dataset":{}}]', "not the agreed answer"),
        (b'[{},{"dataset":{"entities":{"c":[1]}}},{"dataset":{"entities":{"c":[7]}}}]', "no object"),
        (b'[{},{"dataset":{"entities":{}}},{"dataset":{"entities":{"c":[NaN]}}}]', "not the agreed answer"),
        (b"[" * 100_000, "not the agreed answer"),
        (b"[]", outcome.NO_HISTORY),
        (b"null", outcome.NO_HISTORY),
        (b"[{}]", outcome.NO_HISTORY),
        (b'[{},{"dataset":null}]', outcome.NO_HISTORY),
        (b'[{},{"dataset":{"entities":{"c":[' + b"1," * 2_000_000 + b"1]}}},{}]", "more than 800000 parts"),
        (b"<html>", "not the agreed answer"),
        (b"[" + b" " * 17_000_000 + b"]", "larger than 16777216 bytes"),
    ],
)
async def test_answers_of_any_kind_hurt_nobody(history: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RecordingSiblings() as siblings:
        from aiohttp import web  # noqa: PLC0415 - only here

        monkeypatch.setattr(siblings, "_answer", lambda _: web.Response(body=history, content_type="application/json"))
        found = await told(siblings, unit(1, "re1"))
    assert said in found["units"][0]["problem"]
    assert found["summary"]["failed"] == 1


async def test_ten_megabytes_are_compared_and_the_loop_goes_on_meanwhile() -> None:
    async with RecordingSiblings() as siblings:
        text = "x" * 4000
        siblings.read["re1"] = dataset(*(row(str(n), 1) | {"text": text} for n in range(1200)))
        siblings.heads["re1"] = dataset(*(row(str(n), 2, "update") | {"text": text} for n in range(1200)))
        found = await told(siblings, unit(1, "re1"), timeout=20)
    assert found["units"][0]["changed"] == 1200
    assert len(found["units"][0]["values"]) == outcome.KEPT


async def test_who_hangs_is_waited_for_no_longer_than_an_answer_may_take() -> None:
    async with RecordingSiblings() as siblings:
        siblings.fail("process_memory", "history", 99, "hang")
        async with asyncio.timeout(3):
            found = await told(siblings, *(unit(n, f"re{n}") for n in range(20)), timeout=0.5)
    assert found["summary"]["pending"] + found["summary"]["failed"] == 20
    assert found["units"][19]["problem"]


async def test_after_enough_failures_nothing_more_is_asked() -> None:
    async with RecordingSiblings() as siblings:
        siblings.fail("process_memory", "history", 999, 500)
        found = await told(siblings, *(unit(n, f"re{n}") for n in range(40)))
        assert siblings.count("history") <= outcome.ENOUGH + outcome.AT_ONCE
    assert (found["summary"]["failed"], found["summary"]["pending"]) == (40, 0)


async def test_the_export_has_a_line_for_each_value_and_none_is_a_formula() -> None:
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        computed(siblings, "re1", -1, 1.5)
        computed(siblings, "re2", "=1+1", "@x")
        pages = {2: asked(unit(3, "re3"), unit(4, state="sent"), total=4)}

        async def ask(after: int) -> Answer:
            return Answer(Code.OK, orjson.dumps({
                "systemId": "sysA", "status": "finished", "total": 4, "next": None,
                "units": [{"instanceId": one.instance_id, "branch": "master", "state": one.state, "round": 1,
                           "first": one.first, "last": one.last} for one in pages[after].units],
            }))  # fmt: skip

        first = asked(unit(1, "re1"), unit(2, "re2"), total=4, following=2)
        text = b"".join([lines async for lines in exported(Outcomes(platform, 5.0), first, ask)])

    lines = list(csv.DictReader(io.StringIO(text.decode())))
    assert tuple(lines[0]) == COLUMNS
    assert [(one["instance_id"], one["before"], one["after"], one["percent"]) for one in lines] == [
        ("p1", "-1", "1.5", "250.0"), ("p2", "'=1+1", "'@x", ""), ("p3", "", "", ""), ("p4", "", "", ""),
    ]  # fmt: skip
    assert [one["problem"] for one in lines] == ["", "", outcome.NO_HISTORY, outcome.NOT_REPLAYED]


async def test_an_export_that_cannot_go_on_says_so() -> None:
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:

        async def ask(_after: int) -> Answer:
            return Answer(Code.UNAVAILABLE, message="store: disk full")

        first = asked(unit(1), total=4, following=2)
        text = b"".join([lines async for lines in exported(Outcomes(platform, 5.0), first, ask)])
    assert text.decode().splitlines()[-1].endswith("the other units are not told: store: disk full")


# --- over HTTP ----------------------------------------------------------------------------------------------------

ID = document_id("sysA", b"0123456789")


async def test_the_units_are_asked_of_the_system_and_paged(
    client: Client, actor_client: FakeActorClient, pages: FakePages
) -> None:
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        pages.outcomes = Outcomes(platform, 5.0)
        computed(siblings, "re1", 100, 112.4)
        units = [
            {"instanceId": f"p{n}", "branch": "master", "state": "done", "round": 1, "first": "re1", "last": "re1"}
            for n in range(3)
        ]
        body = {"systemId": "sysA", "status": "finished", "total": 3, "units": units, "next": None}
        actor_client.answers[GetReplays] = Answer(Code.OK, orjson.dumps(body))

        reply = await client.get(f"/v1.0.0/reprocessing/{ID}/outcome?after=1&limit=1")
        assert reply.status == 200
        assert [one["instanceId"] for one in reply.json["units"]] == ["p1"]
        assert (reply.json["next"], reply.json["total"], reply.json["summary"]["changed"]) == (2, 3, 3)
        assert [question for _, question, _ in actor_client.asked] == [GetReplays(ID, 0, outcome.SURVEYED)]
        assert (await client.get(f"/v1.0.0/reprocessing/{ID}/outcome?limit=0")).is_error(400, "limit")
        actor_client.answers[GetReplays] = Answer(Code.NOT_FOUND, message="no reprocessing")
        assert (await client.get(f"/v1.0.0/reprocessing/{ID}/outcome")).is_error(404)
        assert (await client.get(f"/v1.0.0/reprocessing/{ID}/outcome.csv")).is_error(404)


async def test_a_page_behind_what_is_summed_up_is_asked_for(
    client: Client, actor_client: FakeActorClient, pages: FakePages, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RecordingSiblings() as siblings, await Platform.open(siblings.settings(tries=1)) as platform:
        pages.outcomes = Outcomes(platform, 5.0)
        unit = {"instanceId": "p", "branch": "master", "state": "outstanding", "round": 1, "first": "", "last": ""}
        units = [unit] * 40  # it would be too large with more
        body = {"systemId": "sysA", "status": "finished", "total": 5000, "units": units, "next": 1000}
        actor_client.answers[GetReplays] = Answer(Code.OK, orjson.dumps(body))
        reply = await client.get(f"/v1.0.0/reprocessing/{ID}/outcome?after=2000&limit=50")
        assert [question for _, question, _ in actor_client.asked][1:] == [GetReplays(ID, 2000, 50)]
        assert (len(reply.json["units"]), reply.json["next"]) == (40, 2040)
        body["units"] = []
        actor_client.answers[GetReplays] = Answer(Code.OK, orjson.dumps(body))
        reply = await client.get(f"/v1.0.0/reprocessing/{ID}/outcome?after=5000&limit=50")
        assert reply.json["next"] is None


async def test_an_export_takes_no_head(client: Client) -> None:
    assert (await client.call("HEAD", f"/v1.0.0/reprocessing/{ID}/outcome.csv")).status == 405


@pytest.mark.parametrize("problem", [UnknownSystem("sysA"), Answer(Code.OK, b"{}")])
async def test_an_export_whose_system_is_gone_says_so(
    client: Client, actor_client: FakeActorClient, problem: Exception | Answer
) -> None:
    text = await export(client, actor_client, problem)
    assert text.count(b"HTTP/1.1") == 1
    assert b"the other units are not told" in text
    assert text.endswith(b"0\r\n\r\n")


async def test_an_export_that_breaks_has_no_second_head_in_it_and_no_end(
    client: Client, actor_client: FakeActorClient
) -> None:
    text = await export(client, actor_client, RuntimeError("a bug"))
    assert text.count(b"HTTP/1.1") == 1
    assert b"200 OK" in text
    assert not text.endswith(b"0\r\n\r\n")


async def export(client: Client, actor_client: FakeActorClient, second: Exception | Answer) -> bytes:
    """Return all that an export sends whose second page of units is answered so."""
    body = {"systemId": "sysA", "status": "finished", "total": 60, "units": [], "next": 50}

    def answer(_: str, question: Question) -> Answer:
        if not getattr(question, "after", 0):
            return Answer(Code.OK, orjson.dumps(body))
        if isinstance(second, Exception):
            raise second
        return second

    actor_client.answers[GetReplays] = answer
    reader, writer = await asyncio.open_connection(*client.address)
    writer.write(f"GET /v1.0.0/reprocessing/{ID}/outcome.csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    text = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(5):
            while part := await reader.read(65536):
                text += part
    writer.close()
    return text


async def test_without_a_platform_it_is_unavailable(actor_client: FakeActorClient) -> None:
    body = {"systemId": "sysA", "status": "finished", "total": 0, "units": [], "next": None}
    actor_client.answers[GetReplays] = Answer(Code.OK, orjson.dumps(body))
    async with serve_http(create_app(actor_client, SETTINGS), SETTINGS) as address:
        for what in ("outcome", "outcome.csv"):
            assert (await Client(address).get(f"/v1.0.0/reprocessing/{ID}/{what}")).is_error(503)


def test_what_changed_is_counted_in_the_callers_language() -> None:
    largest = Value("t", "i", "master", "", "f", "changed", 1.0, 10.1633, 9.1633, 916.33)
    counts = {"changed": 61, "added": 1, "destroyed": 0, "unread": 0}
    english = "61 values changed, largest +916.3 %, 1 row added (61 results compared)"
    assert outcome._said(counts, largest, 61) == english
    with speaking("pt-BR"):
        portuguese = "61 valores mudaram, maior +916,3 %, 1 linha acrescentada (61 resultados comparados)"
        assert outcome._said(counts, largest, 61) == portuguese
