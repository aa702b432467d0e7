from maestro.sandbox.demo.plan import Conversion, Correction, Plan
from maestro.sandbox.demo.truth import Difference, Results, differences, expected
from maestro.sandbox.quotes import Quote

JANUARY, FEBRUARY = Quote("USD", "2008-01-02", 1.0), Quote("USD", "2008-02-01", 2.0)


def plan(*corrections: Correction) -> Plan:
    return Plan(("USD",), (2008, 2009), (JANUARY, FEBRUARY), corrections, ())


def test_from_scratch() -> None:
    assert expected(plan(), "master") == Results(
        {"USD": {"2008-01": 1.0, "2008-02": 2.0}}, {"USD": {"2008": 1.5, "2009": 1.5}}
    )


def test_approved_corrections_hold_and_skipped_do_not() -> None:
    results = expected(
        plan(Correction(JANUARY, 4.0, approved=True), Correction(FEBRUARY, 9.0, approved=False)), "master"
    )
    assert results.averages["USD"] == {"2008-01": 4.0, "2008-02": 2.0}


def test_a_branch_sees_the_trunks_corrections_under_its_own() -> None:
    story = plan(
        Correction(JANUARY, 7.0, approved=True, branch="b"),
        Correction(JANUARY, 4.0, approved=True),
        Correction(FEBRUARY, 3.0, approved=True),
    )
    assert expected(story, "master").averages["USD"] == {"2008-01": 4.0, "2008-02": 3.0}
    assert expected(story, "b").averages["USD"] == {"2008-01": 7.0, "2008-02": 3.0}
    assert expected(story, "c").averages["USD"] == {"2008-01": 4.0, "2008-02": 3.0}


def test_conversions_and_totals_rest_on_what_holds_in_the_end() -> None:
    first = Correction(
        JANUARY, 4.0, approved=True, just_before=(Conversion("a", JANUARY, 2.0),),
        meanwhile=(Conversion("b", FEBRUARY, 3.0),), amounts=(0.5, 1.0),
    )  # fmt: skip
    results = expected(plan(first, Correction(JANUARY, 5.0, approved=True, corrected=4.0)), "master")
    assert results.conversions == {"USD": {"a": 10.0, "b": 6.0}}
    assert results.totals == {"USD": {"total": 1.5}}
    found = Results(results.averages, results.rates, {"USD": {"a": 8.0, "b": 6.0}}, {"USD": {"total": 2.0}})
    assert [(one.kind, one.period, one.found) for one in differences("master", results, found)] == [
        ("conversion", "a", 8.0), ("total", "total", 2.0),
    ]  # fmt: skip


def test_differences_name_wrong_missing_and_surplus_values() -> None:
    wanted = Results({"USD": {"2008-01": 1.0, "2008-02": 2.0}}, {"USD": {"2008": 1.5}})
    found = Results({"USD": {"2008-01": 1.1}}, {"USD": {"2008": 1.5}, "CHF": {"2008": 1.0}})
    assert differences("b", wanted, found) == [
        Difference("b", "average", "USD", "2008-01", 1.0, 1.1),
        Difference("b", "average", "USD", "2008-02", 2.0, None),
        Difference("b", "rate", "CHF", "2008", None, 1.0),
    ]
    assert differences("b", wanted, wanted) == []
