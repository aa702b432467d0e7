"""What is unusual about a held correction: its rows' past is followed from writer to writer, within bounds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from maestro.http import unusual
from maestro.http.app import create_app
from maestro.http.server import serve_http
from maestro.http.unusual import Unusual
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import GetHeldInstance
from maestro.platform import Platform
from maestro.rules.ids import document_id
from maestro.settings.labels import Label, TypeLabels
from tests.support.siblings import RecordingSiblings
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient, FakePages

LOAD = (3790, 3815, 3821, 3805, 3850, 3802, 3830)


def row(id_: str, mw: object, writer: str = "", track: str | None = None) -> dict[str, Any]:
    about = {"type": "carga", "branch": "master", "instance_id": writer, "changeTrack": track}
    return {"id": id_, "usina": f"Usina {id_}", "mw": mw, "_metadata": about}


def dataset(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"dataset": {"entities": {"carga": list(rows)}}}


def chain(siblings: RecordingSiblings, values: tuple[object, ...], new: object) -> None:
    """Have instance w0 create a row, w1 … change it, and the held one change it last."""
    siblings.read["w0"], siblings.heads["w0"] = dataset(), dataset(row("elsewhere", values[0], track="create"))
    for number, value in enumerate(values[1:], 1):
        siblings.read[f"w{number}"] = dataset(row("A", values[number - 1], f"w{number - 1}"))
        siblings.heads[f"w{number}"] = dataset(row("A", value, f"w{number - 1}", "update"))
    last = f"w{len(values) - 1}"
    siblings.read["h"] = dataset(row("A", values[-1], last))
    siblings.heads["h"] = dataset(row("A", new, last, "update"))


@asynccontextmanager
async def looking(siblings: RecordingSiblings, timeout: float = 5.0) -> AsyncIterator[Unusual]:  # noqa: ASYNC109
    async with await Platform.open(siblings.settings(tries=1)) as platform:
        made = Unusual(platform, timeout)
        try:
            yield made
        finally:
            await made.close()


async def told(siblings: RecordingSiblings) -> dict[str, Any]:
    async with looking(siblings) as made:
        return await made.told("sysA", "h", "master")


@pytest.mark.parametrize(("before", "after"), [(10**19, 11 * 10**18), (10**18, 10**19), (0.1, 2**63)])
async def test_a_number_too_large_to_be_shown_as_one_is_left_out(before: object, after: object) -> None:
    async with RecordingSiblings() as siblings:
        siblings.read["h"] = dataset(row("A", before, "w0"), row("B", 1, "w0"))
        siblings.heads["h"] = dataset(row("A", after, "w0", "update"), row("B", 2, "w0", "update"))
        found = await told(siblings)
    assert ([value["id"] for value in found["values"]], found["changed"]) == (["B"], 2)


async def test_a_slip_stands_out_against_the_rows_whole_past() -> None:
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD, 38211)
        found = await told(siblings)
    assert {name: found[name] for name in ("pending", "changed", "unusual", "problem")} == {
        "pending": False, "changed": 1, "unusual": 1, "problem": "",
    }  # fmt: skip
    [value] = found["values"]
    assert (value["field"], value["before"], value["after"], value["about"]) == ("mw", 3830, 38211, "Usina A")
    assert (value["verdict"], value["standsOut"]) == ("unusual", True)
    past = value["past"]
    assert (past["count"], past["median"], past["low"], past["high"], past["ends"]) == (7, 3815, 3790, 3850, "")


async def test_an_ordinary_correction_does_not() -> None:
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD, 3822)
        found = await told(siblings)
    assert (found["unusual"], found["values"][0]["verdict"], found["values"][0]["slipped"]) == (0, "usual", 0)


async def test_without_enough_of_a_past_only_a_slip_is_said() -> None:
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD[:2], 38150)
        found = await told(siblings)
    [value] = found["values"]
    assert (value["verdict"], value["slipped"], value["past"]["count"]) == ("too_few", 1, 2)
    assert value["past"]["median"] is None
    assert found["unusual"] == 1


async def test_what_stands_out_comes_first_whatever_the_size_of_the_change() -> None:
    async with RecordingSiblings() as siblings:
        siblings.read["h"] = dataset(row("A", 100, "w"), row("B", 100, "w"))
        siblings.heads["h"] = dataset(row("A", 5000, "w", "update"), row("B", 10, "w", "update"))
        found = await told(siblings)
    assert [(one["id"], one["slipped"]) for one in found["values"]] == [("B", -1), ("A", 0)]


async def test_texts_and_created_rows_have_no_past_to_be_measured_by() -> None:
    async with RecordingSiblings() as siblings:
        siblings.read["h"] = dataset(row("A", "low", "w"))
        siblings.heads["h"] = dataset(row("A", "high", "w", "update"), row("new", 5, track="create"))
        found = await told(siblings)
        assert (found["values"], found["changed"], found["problem"]) == ([], 1, "")
        assert siblings.count("history") == 1


@pytest.mark.parametrize(
    ("break_it", "ends"),
    [
        (lambda siblings: siblings.heads.pop("w3"), "Process Memory has no history of w3"),
        (lambda siblings: siblings.read.update(w3=dataset(row("A", 3821))), unusual.NO_WRITER),
        (lambda siblings: siblings.read.update(w3=dataset(row("A", 3821, "w3"))), unusual.NO_WRITER),
        (lambda siblings: siblings.read.update(w3=dataset()), "w3 wrote the row without having read it"),
    ],
)
async def test_where_the_past_ends_before_its_beginning_that_is_said(break_it: Any, ends: str) -> None:
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD, 38211)
        break_it(siblings)
        found = await told(siblings)
    [value] = found["values"]
    assert value["past"]["ends"] == ends
    assert value["past"]["count"] in (4, 5)
    assert value["standsOut"] is (value["past"]["count"] == 5 or value["slipped"] != 0)


async def test_no_history_of_the_held_instance_is_said_and_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RecordingSiblings() as siblings, looking(siblings) as made:
        found = await made.told("sysA", "h", "master")
        assert (found["values"], found["problem"]) == ([], "Process Memory has no history of h")
        chain(siblings, LOAD, 38211)
        assert (await made.told("sysA", "h", "master"))["values"] == [], "not asked again at once"
        later = unusual.time.monotonic() + unusual.AGAIN + 1
        monkeypatch.setattr(unusual.time, "monotonic", lambda: later)
        assert (await made.told("sysA", "h", "master"))["unusual"] == 1


async def test_what_was_found_is_kept_for_the_next_who_looks() -> None:
    async with RecordingSiblings() as siblings, looking(siblings) as made:
        chain(siblings, LOAD, 38211)
        first = await made.told("sysA", "h", "master")
        asked = siblings.count("history")
        assert asked == len(LOAD) + 1
        assert await made.told("sysA", "h", "master") == first
        assert siblings.count("history") == asked


async def test_a_failing_process_memory_is_told() -> None:
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD, 38211)
        siblings.fail("process_memory", "history", 100, 400)
        found = await told(siblings)
    assert "400" in found["problem"]
    assert not found["pending"]


async def test_the_past_is_asked_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unusual, "HISTORIES", 3)
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD, 38211)
        found = await told(siblings)
        assert siblings.count("history") == 1 + 3
    assert (found["values"][0]["past"]["count"], found["values"][0]["past"]["ends"]) == (4, unusual.TOO_MANY)
    monkeypatch.undo()
    monkeypatch.setattr(unusual, "VERSIONS", 6)
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD, 38211)
        found = await told(siblings)
        assert siblings.count("history") == 6
    assert (found["values"][0]["past"]["count"], found["values"][0]["verdict"]) == (6, "unusual")


async def test_a_slow_past_is_pending_and_told_when_it_is_there() -> None:
    async with RecordingSiblings() as siblings, looking(siblings, 0.5) as made:
        chain(siblings, LOAD, 3822)
        siblings.slow["history"] = 0.1
        found = await made.told("sysA", "h", "master")
        assert found["pending"]
        assert [one["verdict"] for one in found["values"]] == ["pending"]
        while found["pending"]:
            found = await made.told("sysA", "h", "master")
        assert found["values"][0]["verdict"] == "usual"


async def test_a_look_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unusual, "LONGEST", 0.2)
    async with RecordingSiblings() as siblings:
        chain(siblings, LOAD, 38211)
        siblings.slow["history"] = 0.15
        found = await told(siblings)
    assert (found["pending"], found["problem"]) == (False, unusual.TOO_LONG)


async def test_only_some_corrections_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unusual, "LOOKS", 1)
    async with RecordingSiblings() as siblings, looking(siblings, 0.1) as made:
        siblings.slow["history"] = 1.0
        await made.told("sysA", "h", "master")
        found = await made.told("sysA", "h2", "master")
        assert (found["problem"], found["pending"]) == (unusual.BUSY, False)


def held(instance: str) -> Answer:
    body = {"systemId": "sysA", "instanceId": instance, "branch": "master"}
    return Answer(Code.OK, orjson.dumps(body))


async def test_over_http_a_late_document_has_no_new_numbers() -> None:
    actor_client = FakeActorClient("sysA")
    actor_client.answers[GetHeldInstance] = held("")
    id_ = document_id("sysA", b"0123456789")
    async with serve_http(create_app(actor_client, SETTINGS, entities=FakePages()), SETTINGS) as address:
        answer = await Client(address).get(f"/v1.0.0/reprocessing/{id_}/unusual")
    assert answer.status == 200
    assert (answer.json["values"], answer.json["pending"], answer.json["problem"]) == ([], False, "")
    assert (answer.json["enough"], answer.json["limit"]) == (5, 3.5)


async def test_over_http_labels_are_told_by_system() -> None:
    words = {"en": "Energy", "pt-BR": "Energia"}
    labels = {"sysA": {"carga": TypeLabels({}, {"mw": Label(words, {"en": "MW", "pt-BR": "MW"}, 1)})}}
    app = create_app(FakeActorClient("sysA"), SETTINGS, entities=FakePages(), labels=labels)
    async with serve_http(app, SETTINGS) as address:
        told = await Client(address).get("/v1.0.0/systems/sysA/labels")
        none = await Client(address).get("/v1.0.0/systems/sysB/labels")
    field = {"name": words, "unit": {"en": "MW", "pt-BR": "MW"}, "decimals": 1}
    assert told.json == {"types": {"carga": {"name": {}, "fields": {"mw": field}}}}
    assert (none.status, none.json) == (200, {"types": {}})
