from maestro.sandbox.demo.story import Correction, Input, Plan, Used
from maestro.sandbox.demo.truth import Difference, differences, expected
from maestro.sandbox.meters.story import STORY as METERS
from maestro.sandbox.quotes.story import STORY as QUOTES

JANUARY, FEBRUARY = Input("USD", "2008-01-02", 1.0), Input("USD", "2008-02-01", 2.0)
QUOTE_PAYLOADS = {
    "average": tuple({"currency": "USD", "month": month} for month in ("2008-01", "2008-02")),
    "rate": tuple({"currency": "USD", "year": year} for year in (2008, 2009)),
}
READINGS = (
    Input("a", "2024-03-01T00:00", 1.0),
    Input("a", "2024-03-01T00:15", 2.0),
    Input("a", "2024-03-02T23:45", 4.0),
)
METER_PAYLOADS = {
    "hourly": tuple({"meter": "a", "hour": hour} for hour in ("2024-03-01T00", "2024-03-02T23")),
    "daily": tuple({"meter": "a", "day": day} for day in ("2024-03-01", "2024-03-02")),
    "settlement": ({"site": "north", "month": "2024-03", "meters": ["a"], "price": 0.5},),
}


def plan(*corrections: Correction) -> Plan:
    return Plan(QUOTES, (JANUARY, FEBRUARY), QUOTE_PAYLOADS, corrections, (), {})


def averages(story: Plan, branch: str) -> dict[str, float]:
    return {month: value for (_, month), value in expected(story, branch)["average"].items()}


def test_quotes_from_scratch() -> None:
    assert expected(plan(), "master") == {
        "average": {("USD", "2008-01"): 1.0, ("USD", "2008-02"): 2.0},
        "rate": {("USD", "2008"): 1.5, ("USD", "2009"): 1.5},
        "conversion": {},
        "total": {},
    }


def test_meters_from_scratch() -> None:
    correction = Correction(
        READINGS[1], 3.0, approved=True, just_before=(Used("b", READINGS[1], 10.0),), amounts=(0.5, 1.0)
    )
    assert expected(Plan(METERS, READINGS, METER_PAYLOADS, (correction,), (), {}), "master") == {
        "hourly": {("a", "2024-03-01T00"): 4.0, ("a", "2024-03-02T23"): 4.0},
        "daily": {("a", "2024-03-01"): 4.0, ("a", "2024-03-02"): 4.0},
        "settlement": {("north", "2024-03"): 4.0},
        "bill": {("a", "b"): 30.0},
        "credit": {("a", ""): 1.5},
    }


def test_approved_corrections_hold_and_skipped_do_not() -> None:
    story = plan(Correction(JANUARY, 4.0, approved=True), Correction(FEBRUARY, 9.0, approved=False))
    assert averages(story, "master") == {"2008-01": 4.0, "2008-02": 2.0}


def test_a_branch_sees_the_trunks_corrections_under_its_own() -> None:
    story = plan(
        Correction(JANUARY, 7.0, approved=True, branch="b"),
        Correction(JANUARY, 4.0, approved=True),
        Correction(FEBRUARY, 3.0, approved=True),
    )
    assert averages(story, "master") == {"2008-01": 4.0, "2008-02": 3.0}
    assert averages(story, "b") == {"2008-01": 7.0, "2008-02": 3.0}
    assert averages(story, "c") == {"2008-01": 4.0, "2008-02": 3.0}


def test_conversions_and_totals_rest_on_what_holds_in_the_end() -> None:
    first = Correction(
        JANUARY, 4.0, approved=True, just_before=(Used("a", JANUARY, 2.0),),
        meanwhile=(Used("b", FEBRUARY, 3.0),), amounts=(0.5, 1.0),
    )  # fmt: skip
    results = expected(plan(first, Correction(JANUARY, 5.0, approved=True, corrected=4.0)), "master")
    assert results["conversion"] == {("USD", "a"): 10.0, ("USD", "b"): 6.0}
    assert results["total"] == {("USD", ""): 1.5}
    found = {**results, "conversion": {("USD", "a"): 8.0, ("USD", "b"): 6.0}, "total": {("USD", ""): 2.0}}
    assert [(one.kind, one.part, one.found) for one in differences("master", results, found)] == [
        ("conversion", "a", 8.0), ("total", "", 2.0),
    ]  # fmt: skip


def test_differences_name_wrong_missing_and_surplus_values() -> None:
    wanted = {"average": {("USD", "2008-01"): 1.0, ("USD", "2008-02"): 2.0}, "rate": {("USD", "2008"): 1.5}}
    found = {"average": {("USD", "2008-01"): 1.1}, "rate": {("USD", "2008"): 1.5, ("CHF", "2008"): 1.0}}
    told = differences("b", wanted, found)
    assert told == [
        Difference("b", "average", "USD", "2008-01", 1.0, 1.1),
        Difference("b", "average", "USD", "2008-02", 2.0, None),
        Difference("b", "rate", "CHF", "2008", None, 1.0),
    ]
    assert str(told[0]) == "b average USD 2008-01: 1.1, should be 1.0"
    assert differences("b", wanted, wanted) == []
