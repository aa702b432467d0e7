from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.rules.impact import Impacted, Origin, UnitKey, parse_timestamp, relevant, replay_order

CALM = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
A, B, C = (Impacted(name, "master") for name in "abc")
SIDE = Impacted("a", "b1")


@pytest.mark.parametrize(
    ("found", "on_master", "kept"),
    [
        ((A, B), True, (A, B)),
        ((A, SIDE), True, (A, SIDE)),
        ((A, SIDE), False, (SIDE,)),
        ((A, B, A), True, (A, B)),
        ((A, Impacted("a", "master", forking=True)), True, (A,)),
        ((Impacted("me", "master"), Impacted("me", "b1"), A), True, (A,)),
        ((Impacted("unit", "b1"), Impacted("unit", "b2")), False, (Impacted("unit", "b2"),)),
        ((), True, ()),
    ],
)
def test_what_an_event_cannot_impact_is_dropped(
    found: tuple[Impacted, ...], kept: tuple[Impacted, ...], *, on_master: bool
) -> None:
    assert relevant(found, own_instance="me", on_master=on_master, own_unit=("unit", "b1")) == kept


@pytest.mark.parametrize(
    ("text", "second", "nanoseconds"),
    [
        ("2018-07-20T15:08:41", 41, 0),
        ("2018-07-20T15:08:41.8", 41, 800_000_000),
        ("2018-07-20T15:08:41.884268", 41, 884_268_000),
        ("2018-07-20T15:08:41.000000001", 41, 1),
        ("2018-07-20T15:08:41.999999999", 41, 999_999_999),
        ("2018-07-20T15:08:41.5Z", 41, 500_000_000),
        ("2018-07-20T12:08:41-03:00", 41, 0),
        ("2018-07-20T20:38:41.25+0530", 41, 250_000_000),
    ],
)
def test_a_timestamp_has_up_to_nine_digits_and_perhaps_an_offset(text: str, second: int, nanoseconds: int) -> None:
    assert parse_timestamp(text) == (datetime(2018, 7, 20, 15, 8, second), nanoseconds)  # noqa: DTZ001 - it is UTC


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2018-07-20", "2018-07-20T15:08", "2018-07-20T15:08:41.", "2018-07-20T15:08:41.1234567890",
     "2018-07-20T15:08:41.1a", "2018-07-20T15:08:41.٣", "2018-07-20T15:08:41z", "2018-07-20T15:08:41+00",
     "2018-07-20T15:08:41+00:60",
     "2018-13-20T15:08:41", "2018-07-20T15:08:41.-1", "2018-07-20T15:08:61", "0001-01-01T00:00:00+23:00"],
)  # fmt: skip
def test_what_is_no_such_timestamp_does_not_parse(text: str) -> None:
    assert parse_timestamp(text) is None


def at(name: str, timestamp: str, *, forking: bool = False) -> Origin:
    return Origin(Impacted(name, "master", forking), b"{}", timestamp)


def test_forking_first_then_by_time_then_those_without_ties_by_instance() -> None:
    origins = [
        at("soon", "soon"),
        at("late", "2018-07-20T15:08:41.5"),
        at("early", "2018-07-20T15:08:41.499999999"),
        at("same", "2018-07-20T15:08:41.50"),
        at("zulu", "2018-07-20T15:08:41.5Z"),
        at("west", "2018-07-20T12:08:41.5-03:00"),
        at("east", "2018-07-20T20:38:41.5+0530"),
        at("never", ""),
        at("fork-soon", "soon", forking=True),
        at("fork", "2030-01-01T00:00:00", forking=True),
    ]
    names = [origin.unit.instance_id for origin in replay_order(origins)]
    assert names == ["fork", "fork-soon", "early", "east", "late", "same", "west", "zulu", "never", "soon"]


STAMPS = st.builds(
    lambda moment, digits: moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{digits}" if digits else ""),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - the platform's have no zone
    st.text("0123456789", max_size=9),
) | st.sampled_from(("", "soon", "2018-07-20T15:08:41Z", "2018-07-20T15:08:41-03:00"))
ORIGINS = st.lists(st.tuples(STAMPS, st.booleans()), max_size=12).map(
    lambda drawn: [at(f"p{number}", stamp, forking=forking) for number, (stamp, forking) in enumerate(drawn)]
)


@CALM
@given(ORIGINS)
def test_the_order_is_total_stable_and_loses_none(origins: list[Origin]) -> None:
    ordered = replay_order(origins)
    assert sorted(origin.unit.instance_id for origin in ordered) == sorted(o.unit.instance_id for o in origins)

    def rank(origin: Origin) -> tuple[bool, bool, float, int, UnitKey]:
        parsed = parse_timestamp(origin.timestamp)
        seconds = (parsed[0] - datetime(1970, 1, 1)).total_seconds() if parsed else 0.0  # noqa: DTZ001 - as above
        nanoseconds = parsed[1] if parsed else 0
        return (not origin.unit.forking, parsed is None, seconds, nanoseconds, origin.unit.key)

    assert [rank(origin) for origin in ordered] == sorted(rank(origin) for origin in origins)


UNITS = st.lists(st.builds(Impacted, st.sampled_from("abcm"), st.sampled_from(("master", "b1", "b2")), st.booleans()))


@CALM
@given(UNITS, st.booleans())
def test_what_is_kept_is_unique_in_order_and_allowed(found: list[Impacted], on_master: bool) -> None:  # noqa: FBT001
    kept = relevant(found, own_instance="m", on_master=on_master)
    keys = [unit.key for unit in kept]
    assert len(set(keys)) == len(keys)
    allowed = [u.key for u in found if u.instance_id != "m" and (on_master or u.branch != "master")]
    assert keys == list(dict.fromkeys(allowed))
