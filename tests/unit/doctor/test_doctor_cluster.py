"""What the doctor says of the nodes of a cluster."""

from collections import Counter
from dataclasses import replace

import pytest

from maestro.cluster.node import Node
from maestro.doctor.cluster import findings
from maestro.doctor.finding import Level
from maestro.doctor.postgres import fail_over
from maestro.store.nodes import Seen

NORTH = Node("north", 3, 40, "http://north", 100.0, holds_events=True, version="1", schema=3, settings_digest="a")
SOUTH = replace(NORTH, name="south", holds_events=False)


def beaten(*nodes: Node) -> tuple[Node, ...]:
    return tuple(replace(node, beat=node.beat + 4) for node in nodes)


def said(before: Seen, seen: Seen, own: str = "north", *, runs: bool = True) -> list[tuple[Level, str, str]]:
    found = findings(before, seen, Counter(north=2), own, runs=runs)
    return [(one.level, one.subject, one.message) for one in found]


def test_nodes_that_live() -> None:
    before = Seen((NORTH, SOUTH), frozenset())
    assert said(before, Seen(beaten(NORTH, SOUTH), frozenset())) == [
        (Level.OK, "north", "lives, and owns 2 systems: version 1 at http://north"),
        (Level.OK, "south", "lives, and owns 0 systems: version 1 at http://north"),
    ]


def test_all_that_can_be_wrong() -> None:
    odd, slow = replace(SOUTH, name="odd", settings_digest="b"), replace(SOUTH, name="slow", draining=True)
    stuck = replace(slow, name="stuck", waits_for=(("s1", "in_run"), ("s2", "silent")))
    gone = replace(SOUTH, name="gone", beat=0)
    north = replace(NORTH, holds_events=False)
    before = Seen((north, SOUTH, odd, slow, stuck, gone), frozenset())
    seen = Seen((north, *beaten(SOUTH, odd, slow, stuck), gone), frozenset({"s1", "s2"}))
    assert said(before, seen, "gone") == [
        (Level.PROBLEM, "north", "gives no sign of life, and owns 2 systems"),
        (Level.OK, "south", "lives, and owns 0 systems: version 1 at http://north"),
        (Level.WARNING, "odd", "claims no systems: it has other settings, or an older schema, than the others"),
        (Level.WARNING, "slow", "drains, and owns 0 systems"),
        (Level.WARNING, "stuck", "drains, owns 0 systems and waits for s1, s2; maestro nodes says why"),
        (Level.PROBLEM, "gone", "runs here and holds no lease: it is joining, or PostgreSQL is out of reach for it"),
        (Level.PROBLEM, "maestro.owner", "no node holds the events of the vhost: nothing is judged or replayed"),
        (Level.PROBLEM, "systems", "no node owns 2 systems: s1, s2"),
    ]
    assert "gone" not in [subject for _, subject, _ in said(before, seen, "gone", runs=False)]


@pytest.mark.parametrize(
    ("standbys", "waits_for", "level", "part"),
    [
        ("", "on", Level.WARNING, "no standby confirms commits"),
        ("", "local", Level.WARNING, "no standby confirms commits"),
        ("ANY 1 (a, b)", "on", Level.OK, "ANY 1 (a, b)"),
        ("a", "remote_apply", Level.OK, "loses none"),
        ("a", "remote_write", Level.PROBLEM, "synchronous_commit = remote_write"),
        ("a", "local", Level.PROBLEM, "two nodes may own a system"),
        ("a", "off", Level.PROBLEM, "loses the last commits"),
    ],
)
def test_what_a_fail_over_loses_is_said(standbys: str, waits_for: str, level: Level, part: str) -> None:
    found = fail_over(standbys, waits_for)
    assert (found.level, found.subject) == (level, "PostgreSQL")
    assert part in found.message
