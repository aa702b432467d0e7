"""Units of a document, searched and counted."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from maestro.messages.answers import Code
from maestro.messages.questions import FindUnits
from maestro.rules.document import Document
from maestro.rules.unit import Unit, UnitState
from maestro.system import pages
from maestro.system.unit_search import TOLD, UnitSearch

DOC = cast("Document", SimpleNamespace(id="d1", system_id="sysA"))
OTHER = cast("Document", SimpleNamespace(id="d2", system_id="sysA"))


def unit(position: int, name: str, day: str, branch: str = "master", **payload: Any) -> Unit:
    origin = orjson.dumps({"name": name, "payload": payload})
    return Unit(position, position, f"p{position}", branch, forking=False, origin=origin, timestamp=f"{day}T10:00:00")


UNITS = [
    unit(0, "monthly.request", "2026-10-01", currency="USD"),
    unit(1, "monthly.request", "2026-11-02", currency="EUR"),
    unit(2, "yearly.request", "2026-11-03", "b1", currency="USD"),
    unit(3, "monthly.request", "2026-11-03", "b1", currency="São Tomé"),
]


def search(units: Sequence[Unit] = UNITS, **asked: Any) -> dict[str, Any]:
    answer = UnitSearch().found(DOC, units, FindUnits("d1", **asked))
    assert answer.code is Code.OK, answer
    body: dict[str, Any] = orjson.loads(answer.body)
    return body


def positions(**asked: Any) -> list[int]:
    return [one["position"] for one in search(**asked)["units"]]


def counts(page: dict[str, Any], group: str) -> dict[str, int]:
    return {one["value"]: one["count"] for one in page["groups"][group]["values"]}


@pytest.mark.parametrize(
    ("asked", "fitting"),
    [
        ({}, [0, 1, 2, 3]),
        ({"process": "monthly.request"}, [0, 1, 3]),
        ({"process": "monthly.request", "branch": "b1"}, [3]),
        ({"period": "2026-11"}, [1, 2, 3]),
        ({"period": "2026-11-03"}, [2, 3]),
        ({"state": "done"}, []),
        ({"text": "usd"}, [0, 2]),
        ({"text": "são"}, [3]),
        ({"text": "P2"}, [2]),
        ({"text": "nobody"}, []),
    ],
)
def test_units_are_found(asked: dict[str, Any], fitting: list[int]) -> None:
    assert positions(**asked) == fitting
    assert search(**asked)["matched"] == len(fitting)


def test_a_page_ends_before_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_ANSWER", 1)
    shown, after = [], 0
    for _ in range(3):
        page = search(process="monthly.request", after=after)
        assert (len(page["units"]), page["matched"], page["total"]) == (1, 3, 4)
        shown.append(page["units"][0]["position"])
        after = page["next"]
    assert (shown, after) == ([0, 1, 3], None)
    assert search(after=9)["next"] is None


def test_a_count_says_what_another_choice_would_show() -> None:
    page = search(process="monthly.request", branch="b1")
    assert counts(page, "process") == {"monthly.request": 1, "yearly.request": 1}
    assert counts(page, "branch") == {"master": 2, "b1": 1}
    assert counts(page, "state") == {"outstanding": 1}
    assert counts(page, "period") == {"2026-11": 1}
    assert (page["total"], page["matched"]) == (4, 1)


def test_periods_are_months_and_days_where_one_month_is_looked_at() -> None:
    assert counts(search(), "period") == {"2026-10": 1, "2026-11": 3}
    assert counts(search(period="2026-11"), "period") == {"2026-10-01": 1, "2026-11-02": 1, "2026-11-03": 2}
    assert counts(search(UNITS[1:]), "period") == {"2026-11-02": 1, "2026-11-03": 2}


def test_pages_together_are_all_that_fit() -> None:
    first = search(limit=3)
    assert ([one["position"] for one in first["units"]], first["next"]) == ([0, 1, 2], 3)
    rest = search(limit=3, after=3)
    assert ([one["position"] for one in rest["units"]], rest["next"]) == ([3], None)
    assert first["units"][2] | {"name": "yearly.request", "about": "USD", "branch": "b1"} == first["units"][2]


def test_of_many_values_those_of_most_units_are_counted_the_others_together() -> None:
    many = [unit(n, f"process{n}", "2026-11-01") for n in range(TOLD + 5)] + [unit(999, "process7", "2026-11-01")]
    page = search(many)
    assert page["groups"]["process"]["values"][0] == {"value": "process7", "count": 2}
    assert (len(page["groups"]["process"]["values"]), page["groups"]["process"]["others"]) == (TOLD, 5)


def test_what_was_read_of_an_event_is_not_taken_for_another() -> None:
    it = UnitSearch()

    def processes(doc: Document, *units: Unit) -> set[str]:
        return set(counts(orjson.loads(it.found(doc, units, FindUnits(doc.id)).body), "process"))

    assert processes(DOC, UNITS[0], UNITS[1]) == {"monthly.request"}
    assert processes(DOC, unit(0, "daily.request", "2026-11-01"), UNITS[1]) == {"daily.request", "monthly.request"}
    assert processes(OTHER, unit(0, "yearly.request", "2026-11-01")) == {"yearly.request"}


@pytest.mark.parametrize(
    "origin", [b"", b"null", b"no JSON", b'{"name": 7, "payload": null}', b'{"payload": "\\ud83d"}']
)
def test_a_unit_whose_event_says_nothing_is_there_all_the_same(origin: bytes) -> None:
    odd = Unit(0, 0, "p0", "master", forking=False, origin=origin, timestamp="")
    page = search([odd])
    assert (page["matched"], page["units"][0]["name"]) == (1, "")
    assert counts(page, "period") == {"": 1}


def test_an_unknown_state_is_named() -> None:
    answer = UnitSearch().found(DOC, UNITS, FindUnits("d1", state="asleep"))
    assert (answer.code, answer.message) == (Code.INVALID, f"state: must be one of {', '.join(UnitState)}")
