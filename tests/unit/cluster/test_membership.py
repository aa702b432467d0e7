"""One node's part, fact by fact. `Cluster.of` answers nothing by itself: each test says what the store says."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf
from typing import TypeVar

import pytest

from maestro.cluster import facts, membership
from maestro.cluster.commands import (
    Beat,
    Believe,
    BreakLease,
    Claim,
    Command,
    EndEverything,
    Join,
    Leave,
    Look,
    Release,
    Serve,
)
from maestro.cluster.lease import Terms
from maestro.cluster.membership import Membership, State
from maestro.cluster.node import Node
from maestro.cluster.placement import order
from maestro.cluster.waits import Why

TERMS = Terms(5.0, 0.01)
C = TypeVar("C")


def of(kind: type[C], commands: Iterable[Command]) -> list[C]:
    return [command for command in commands if isinstance(command, kind)]


class Driver:
    """A node and its clock; what it asked and nobody answered yet."""

    def __init__(self, name: str = "a") -> None:
        self.membership = Membership(name, TERMS)
        self.at = 100.0
        self.open: list[Command] = []

    def tell(self, fact: facts.Fact) -> list[Command]:
        commands = self.membership.handle(fact, self.at)
        if (question := getattr(fact, "question", None)) in self.open:
            self.open.remove(question)
        self.open += commands
        return commands

    def tick(self, seconds: float = 0.0) -> list[Command]:
        self.at += seconds
        return self.tell(facts.Tick())

    def asked(self, kind: type[C]) -> C:
        """Return the question of that kind that is open."""
        found = of(kind, self.open)
        assert len(found) == 1, (kind, self.open)
        return found[0]

    def join(self, incarnation: int = 1) -> list[Command]:
        self.tick()
        return self.tell(facts.Joined(self.asked(Join), incarnation))

    def beaten(self) -> list[Command]:
        return self.tell(facts.BeatAnswered(self.asked(Beat)))

    def look(self, *nodes: Node, free: Iterable[str] = (), mine: Iterable[str] = ()) -> list[Command]:
        """See these nodes with the next look, after the pause to it."""
        if not of(Look, self.open):
            self.tick(TERMS.beat_every)
        return self.tell(facts.NodesSeen(self.asked(Look), nodes, frozenset(free), got(*mine)))

    def watch(self, seconds: float, *nodes: Node) -> list[Command]:
        """See these nodes with each look for that long, and with the one after it."""
        until, commands = self.at + seconds, list[Command]()
        while self.at < until:
            self.tick(min(TERMS.beat_every, until - self.at))
            if of(Look, self.open):
                commands += self.look(*nodes)
        return commands + self.look(*nodes)


def node(name: str, incarnation: int = 1, beat: int = 7, **fields: object) -> Node:
    return replace(Node(name, incarnation, beat), **fields)  # type: ignore[arg-type]


def got(*systems: str) -> dict[str, int]:
    """Return what a claim gets."""
    return dict.fromkeys(systems, 3)


def systems_of(name: str, nodes: list[Node], count: int = 1) -> list[str]:
    """Return systems that belong to that node first."""
    found = (f"s{number}" for number in range(1000))
    return [system for system in found if order(system, nodes)[0] == name][:count]


@pytest.fixture
def driver() -> Driver:
    """A node that has joined and believes its lease."""
    driver = Driver()
    driver.join()
    driver.beaten()
    driver.look()
    driver.look()
    return driver


# --- the own lease ---------------------------------------------------------------------------------------------------


def test_a_lease_is_believed_from_when_the_beat_was_ordered() -> None:
    driver = Driver()
    driver.join()
    ordered = driver.at
    driver.tick(3.0)
    (believe,) = of(Believe, driver.beaten())
    assert believe.until == ordered + TERMS.believed
    assert driver.membership.believed_until == believe.until


def test_nothing_is_believed_before_the_first_beat() -> None:
    assert not of(Believe, Driver().join())


def test_beats_are_numbered_and_one_is_under_way_at_a_time(driver: Driver) -> None:
    assert not of(Beat, driver.tick(TERMS.beat_every / 2))
    (second,) = of(Beat, driver.tick(TERMS.beat_every))
    assert (second.incarnation, second.number) == (1, 3)
    assert not of(Beat, driver.tick(10.0))
    (third,) = of(Beat, driver.tell(facts.Unanswered(second)))
    assert third.number == 4


def test_a_lapsed_lease_goes_on_with_the_next_beat(driver: Driver) -> None:
    (beat,) = of(Beat, driver.tick(60.0))
    assert driver.membership.believed_until < driver.at
    assert of(Believe, driver.tell(facts.BeatAnswered(beat))) == [Believe(driver.at + TERMS.believed)]


def test_a_refused_beat_ends_everything_before_it_joins_again(driver: Driver) -> None:
    driver.look(node("a"), free=["s"])
    driver.tell(facts.Claimed(driver.asked(Claim), got("s")))
    driver.tick(TERMS.beat_every)
    refused = driver.tell(facts.BeatRefused(driver.asked(Beat)))
    assert refused == [Believe(-inf), EndEverything()]
    assert driver.membership.owned == frozenset()
    assert driver.tick(60.0) == [], "no beat, no claim, no join while something may go on"
    assert driver.tell(facts.Ended()) == [Believe(-inf), Leave(1)]
    assert of(Join, driver.tell(facts.Left(Leave(1))))
    driver.tell(facts.Joined(Join(), 3))
    assert driver.membership.incarnation == 3


def test_an_answer_of_a_lease_that_ended_is_dropped(driver: Driver) -> None:
    driver.look(node("a"), free=["s"])
    claim = driver.asked(Claim)
    driver.tick(TERMS.beat_every)
    driver.tell(facts.BeatRefused(driver.asked(Beat)))
    assert driver.tell(facts.Claimed(claim, got("s"))) == []
    assert driver.membership.owned == frozenset()


def test_a_join_waits_until_the_former_life_is_broken() -> None:
    driver = Driver()
    driver.tick()
    driver.look(node("a", 4, 9))
    assert not of(Join, driver.tell(facts.JoinRefused(driver.asked(Join))))
    driver.tick(TERMS.beat_every)
    driver.tell(facts.JoinRefused(driver.asked(Join)))
    assert of(BreakLease, driver.watch(TERMS.broken_after, node("a", 4, 9))) == [BreakLease("a", 4, 9)]


def test_a_store_that_is_away_is_asked_again_after_a_pause() -> None:
    driver = Driver()
    driver.tick()
    assert not of(Join, driver.tell(facts.Unanswered(driver.asked(Join))))
    assert of(Join, driver.tick(TERMS.beat_every))


# --- others' leases --------------------------------------------------------------------------------------------------


def test_a_beat_that_stands_still_is_broken_in_its_time(driver: Driver) -> None:
    driver.look(node("a"), node("b", 2, 9))
    seen = driver.at
    driver.tick()
    while driver.at + TERMS.beat_every < seen + TERMS.broken_after:
        assert not of(BreakLease, driver.look(node("a"), node("b", 2, 9)))
    driver.at = seen + TERMS.broken_after
    assert of(BreakLease, driver.look(node("a"), node("b", 2, 9))) == [BreakLease("b", 2, 9)]
    assert not of(BreakLease, driver.look(node("a"), node("b", 2, 9))), "it is under way"
    driver.tell(facts.Unanswered(BreakLease("b", 2, 9)))
    assert of(BreakLease, driver.look(node("a"), node("b", 2, 9)))


@pytest.mark.parametrize("now", [node("b", 2, 10), node("b", 3, 9)])
def test_a_beat_or_an_incarnation_that_moves_begins_the_wait_again(driver: Driver, now: Node) -> None:
    driver.watch(TERMS.broken_after - 2 * TERMS.beat_every, node("a"), node("b", 2, 9))
    assert not of(BreakLease, driver.watch(TERMS.broken_after - 2 * TERMS.beat_every, node("a"), now))
    assert of(BreakLease, driver.watch(2 * TERMS.beat_every, node("a"), now))


def test_time_in_which_the_store_is_away_does_not_count(driver: Driver) -> None:
    """Nobody's beat was taken either: the first node that is back would break all the living ones."""
    others = (node("b"), node("c", beat=3))
    driver.watch(TERMS.beat_every, node("a"), *others)
    for _ in range(30):
        driver.tick(1.0)
        if looks := of(Look, driver.open):
            driver.tell(facts.Unanswered(looks[0]))
    assert not of(BreakLease, driver.watch(TERMS.broken_after / 2, node("a"), *others))
    alive = replace(others[0], beat=8)
    assert of(BreakLease, driver.watch(TERMS.broken_after / 2, node("a"), alive, others[1])) == [BreakLease("c", 1, 3)]


def test_a_longer_lease_than_ones_own_is_broken_when_it_is_over(driver: Driver) -> None:
    other = node("b", lease_seconds=2 * TERMS.seconds)
    assert not of(BreakLease, driver.watch(TERMS.broken_after, node("a"), other))
    assert of(BreakLease, driver.watch(TERMS.broken_after, node("a"), other))
    shorter = node("c", lease_seconds=TERMS.seconds / 2)
    assert not of(BreakLease, driver.watch(TERMS.broken_after - 2 * TERMS.beat_every, node("a"), shorter))


def test_nobody_breaks_its_own_lease_or_one_that_nobody_holds(driver: Driver) -> None:
    assert not of(BreakLease, driver.watch(60.0, node("a"), node("b", 2, beat=0)))


def test_after_a_break_it_looks_at_once(driver: Driver) -> None:
    driver.watch(TERMS.broken_after, node("a"), node("b"))
    assert of(Look, driver.tell(facts.Broken(driver.asked(BreakLease), done=True)))


# --- claims ----------------------------------------------------------------------------------------------------------


def test_the_first_claims_at_once_and_the_second_later(driver: Driver) -> None:
    both = [node("a"), node("b")]
    (mine,), (other,) = systems_of("a", both), systems_of("b", both)
    commands = driver.look(*both, free=[mine, other])
    assert of(Claim, commands) == [Claim(1, (mine,))]
    assert of(Serve, driver.tell(facts.Claimed(Claim(1, (mine,)), got(mine)))) == [Serve(1, (mine,))]
    assert not of(Claim, driver.look(*both, free=[other]))
    assert not of(Claim, driver.tick(0.4))
    assert of(Claim, driver.tick(0.6)) == [Claim(1, (other,))]


def test_what_another_one_got_is_not_served(driver: Driver) -> None:
    driver.look(node("a"), free=["s", "t"])
    assert of(Serve, driver.tell(facts.Claimed(driver.asked(Claim), got("t")))) == [Serve(1, ("t",))]
    assert driver.membership.owned == {"t"}


@pytest.mark.parametrize("me", [node("a", draining=True), node("a", 2), node("c")])
def test_a_node_that_drains_or_is_not_seen_as_it_is_claims_nothing(driver: Driver, me: Node) -> None:
    driver.look(me, node("b"), free=["s"])
    driver.at += 30.0
    assert not of(Claim, driver.look(me, node("b"), free=["s"]))


def test_a_system_that_the_store_does_not_know_is_claimed_once(driver: Driver) -> None:
    driver.look(node("a"))
    assert of(Claim, driver.tell(facts.SystemsFound(got("new")))) == [Claim(1, ("new",))]
    driver.tell(facts.Claimed(driver.asked(Claim), {}))
    assert not of(Claim, driver.tell(facts.SystemsFound(got("new")))), "another one has it"


def test_a_claim_without_an_answer_is_read_back_with_nothing_else_under_way(driver: Driver) -> None:
    driver.look(node("a"), free=["s", "t"])
    (look,) = of(Look, driver.tell(facts.Unanswered(driver.asked(Claim))))
    assert look.mine
    assert not of(Claim, driver.tick(5.0))
    served = driver.tell(facts.NodesSeen(look, (node("a"),), frozenset({"t"}), mine=got("s")))
    assert of(Serve, served) == [Serve(1, ("s",))]
    assert driver.asked(Look).mine, "it is looked at again: the claim may be carried out yet"
    claimed = driver.look(node("a"), free=["t"], mine=["s"])
    assert of(Claim, claimed) == [Claim(1, ("t",))]


def test_after_a_claim_without_an_answer_it_looks_again_and_again_less_often(driver: Driver) -> None:
    driver.look(node("a"), free=["s"])
    driver.tell(facts.Unanswered(driver.asked(Claim)))
    began, looked = driver.at, list[float]()
    while driver.at < began + 20.0:
        if of(Look, driver.open):
            if driver.asked(Look).mine:
                looked.append(driver.at - began)
            driver.look(node("a"))
        driver.tick(0.1)
    assert looked == pytest.approx([0.0, 1.0, 3.0, 7.0, 15.0], abs=0.6)


def test_a_look_at_what_is_ones_own_waits_for_releases_and_claims_do_not(driver: Driver) -> None:
    both = [node("a"), node("b")]
    owning(driver, *systems_of("b", both, 1))
    driver.look(*both)
    (released,) = of(Release, driver.open)
    looks: list[Look] = []
    for beat in range(int(2 * membership._MINE_EVERY)):
        driver.tick(TERMS.beat_every)
        looks.append(driver.asked(Look))
        driver.look(node("a"), node("b", beat=beat))
    assert not any(look.mine for look in looks), "it looks at the others all the same"
    (free,) = systems_of("a", both)
    assert of(Claim, driver.look(*both, free=[free])) == [Claim(1, (free,))]
    driver.tell(facts.Claimed(driver.asked(Claim), {}))
    assert of(Look, driver.tell(facts.Released(released)))[0].mine


def test_a_system_that_is_missing_in_the_store_ends_everything(driver: Driver) -> None:
    driver.look(node("a"), free=["s"])
    driver.tell(facts.Claimed(driver.asked(Claim), got("s")))
    while not of(Look, driver.open) or not driver.asked(Look).mine:
        driver.look(node("a"))
        driver.tick(TERMS.beat_every)
    assert driver.look(node("a"), mine=[]) == [Believe(-inf), EndEverything()]


# --- hand-overs ------------------------------------------------------------------------------------------------------


def owning(driver: Driver, *systems: str) -> None:
    driver.look(node("a"), free=systems)
    driver.tell(facts.Claimed(driver.asked(Claim), got(*systems)))


def test_what_belongs_to_a_new_node_is_handed_over_a_few_a_second(driver: Driver) -> None:
    both = [node("a"), node("b")]
    theirs = systems_of("b", both, 9)
    owning(driver, *theirs, *systems_of("a", both, 9))
    released = of(Release, driver.look(*both))
    assert len(released) == 1
    assert not of(Release, driver.tick(0.1))
    for _ in range(10):
        released += of(Release, driver.tick(0.25))
    assert len(released) == 4, "no more under way at once"
    for release in released:
        driver.tell(facts.Released(release))
    assert {one.system for one in released} < set(theirs)
    assert driver.membership.owned.isdisjoint(one.system for one in released)


def test_many_systems_at_rest_are_handed_over_at_once_and_active_ones_a_few_a_second(driver: Driver) -> None:
    both = [node("a"), node("b")]
    theirs = systems_of("b", both, 50)
    active = theirs[10:20]
    driver.membership._hand_overs._at_rest = lambda system: system not in active
    owning(driver, *theirs)
    released = of(Release, driver.look(*both))
    assert len(released) == 32 + 1
    assert [one.system for one in released if one.system in active] == active[:1]
    assert not of(Release, driver.tick(0.1)), "no more under way at once"
    more = [found for one in released for found in of(Release, driver.tell(facts.Released(one)))]
    assert len(more) == 50 - 10 - 32
    for _ in range(10):
        more += of(Release, driver.tick(0.25))
    assert [one.system for one in more if one.system in active] == active[1:5], "no more under way at once"


def test_with_each_fact_a_few_systems_are_looked_at_however_many_are_to_go(driver: Driver) -> None:
    both = [node("a"), node("b")]
    systems = [f"s{number:04d}" for number in range(2000)]
    looks = list[str]()
    resting = {systems[1000], systems[1999]}

    def at_rest(system: str) -> bool:
        looks.append(system)
        return system in resting

    driver.membership._hand_overs._at_rest = at_rest
    driver.look(node("a"), free=systems)
    while claims := of(Claim, driver.open):
        driver.tell(facts.Claimed(claims[0], got(*claims[0].systems)))
    driver.look(replace(both[0], draining=True), both[1])
    released = set[str]()
    for _ in range(50):
        looks.clear()
        released |= {one.system for one in of(Release, driver.tick(0.01))}
        assert len(looks) <= 64
    assert resting < released, "each has its turn"


def test_where_a_system_belongs_is_not_computed_again_with_each_hand_over(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [node("a"), node("b")]
    driver.membership._hand_overs._at_rest = lambda _system: True
    owning(driver, *systems_of("b", both, 40), *systems_of("a", both, 40))
    released = of(Release, driver.look(*both))
    computed = list[str]()

    def count(system: str, nodes: Sequence[Node]) -> list[str]:
        computed.append(system)
        return order(system, nodes)

    monkeypatch.setattr(membership, "order", count)
    more = [found for one in released for found in of(Release, driver.tell(facts.Released(one)))]
    assert (len(released), len(more), computed) == (32, 8, [])
    for one in more:
        driver.tell(facts.Kept(one))
    again = of(Release, driver.tick(6.0))
    assert {one.system for one in again} == {one.system for one in more}


def test_one_that_is_kept_and_belongs_here_by_now_stays(driver: Driver) -> None:
    three = [node("a"), node("b"), node("c")]
    theirs, ours = systems_of("b", three, 9), systems_of("a", three)
    owning(driver, *theirs, *ours)
    driver.look(*three)
    driver.look(node("a"), node("b", draining=True), node("c"))
    for release in of(Release, driver.open):
        driver.tell(facts.Kept(release))
    for _ in range(40):
        for release in of(Release, driver.tick(0.25)):
            driver.tell(facts.Released(release))
    assert driver.membership.owned == {*ours, *theirs} - {*systems_of("c", [node("a"), node("c")], 1000)}


def test_one_that_was_woken_meanwhile_is_kept_as_any_other(driver: Driver) -> None:
    both = [node("a"), node("b")]
    (system,) = systems_of("b", both)
    driver.membership._hand_overs._at_rest = lambda _system: True
    owning(driver, system)
    (release,) = of(Release, driver.look(*both))
    driver.tell(facts.Kept(release))
    assert driver.membership.owned == {system}
    assert not of(Release, driver.tick(4.9))
    assert of(Release, driver.tick(0.2)) == [release]


def test_a_system_in_a_run_is_kept_and_asked_later(driver: Driver) -> None:
    both = [node("a"), node("b")]
    owning(driver, *systems_of("b", both))
    (release,) = of(Release, driver.look(*both))
    driver.tell(facts.Kept(release))
    assert driver.membership.owned == {release.system}
    assert not of(Release, driver.tick(4.9))
    assert of(Release, driver.tick(0.2)) == [release]


def test_a_release_is_asked_for_until_it_is_answered(driver: Driver) -> None:
    both = [node("a"), node("b")]
    owning(driver, *systems_of("b", both))
    (release,) = of(Release, driver.look(*both))
    driver.look(node("a"), node("b", beat=0))  # it would stay, if its process had not ended by now
    driver.tell(facts.Unanswered(release))
    assert of(Release, driver.tick(1.0)) == [release]


def test_a_draining_node_hands_everything_over_and_keeps_it_when_there_is_no_other(driver: Driver) -> None:
    alone = node("a", draining=True)
    owning(driver, "s")
    driver.look(alone)
    assert not of(Release, driver.tick(5.0))
    assert of(Release, driver.look(alone, node("b"))) == [Release(1, "s", 3)]


def test_a_node_with_other_settings_keeps_what_it_has(driver: Driver) -> None:
    owning(driver, *(f"s{number}" for number in range(20)))
    others = node("b", settings_digest="x"), node("c", settings_digest="x")
    driver.look(node("a"), *others)
    assert not of(Release, driver.tick(5.0))


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_stop_beats_until_everything_has_ended_and_then_leaves(driver: Driver) -> None:
    owning(driver, "s")
    driver.tell(facts.StopAsked())
    assert not of(Claim, driver.look(node("a"), free=["t"]))
    assert of(Beat, driver.beaten() + driver.tick(TERMS.beat_every))
    assert of(Leave, driver.tell(facts.Ended())) == [Leave(1)]
    assert not of(Leave, driver.tell(facts.Unanswered(Leave(1))))
    assert of(Leave, driver.tick(1.0)) == [Leave(1)]
    assert driver.tell(facts.Left(Leave(1))) == []
    assert driver.membership.state is State.GONE
    assert driver.tick(60.0) == []


def test_a_stop_while_a_join_is_under_way_gives_the_lease_back() -> None:
    driver = Driver()
    driver.tick()
    join = driver.asked(Join)
    driver.tell(facts.StopAsked())
    assert driver.membership.state is State.OUT
    assert of(Leave, driver.tell(facts.Joined(join, 6))) == [Leave(6)]


# --- what a drain waits for ------------------------------------------------------------------------------------------


DRAINING = (node("a", draining=True), node("b"))


def draining(driver: Driver, *systems: str) -> Release:
    """Own these and drain; return the first release."""
    owning(driver, *systems)
    return of(Release, driver.look(*DRAINING))[0]


def kept(driver: Driver, release: Release, seconds: float, *, silent: bool) -> Release:
    """Answer each release so for that long; return the one that comes then."""
    until = driver.at + seconds
    while True:
        driver.tell(facts.Kept(release, silent=silent))
        found = of(Release, driver.tick(5.0))
        while not found:
            found = of(Release, driver.look(*DRAINING, mine=["s"]))
        (release,) = found
        if driver.at >= until:
            return release


def test_a_system_that_does_not_answer_is_handed_over_at_last(driver: Driver) -> None:
    release = draining(driver, "s")
    assert not kept(driver, release, 55.0, silent=True).though_silent
    assert driver.membership.waits_for == {"s": Why.SILENT}
    last = kept(driver, driver.asked(Release), 5.0, silent=True)
    assert last == replace(release, though_silent=True)
    driver.tell(facts.Unanswered(last))
    assert driver.membership.waits_for == {"s": Why.UNCONFIRMED}
    assert of(Release, driver.tick(1.0)) == [last], "its process may have ended"
    driver.tell(facts.Released(last))
    assert driver.membership.waits_for == {}


def test_one_in_a_run_is_waited_for_without_end_which_is_said(driver: Driver) -> None:
    release = kept(driver, draining(driver, "s"), 50.0, silent=True)
    release = kept(driver, release, 300.0, silent=False)
    assert not release.though_silent
    assert driver.membership.waits_for == {"s": Why.IN_RUN}
    assert not kept(driver, release, 55.0, silent=True).though_silent, "it had answered"


def test_what_is_to_stay_after_all_is_waited_for_no_longer(driver: Driver) -> None:
    release = kept(driver, draining(driver, "s"), 50.0, silent=True)
    driver.tell(facts.Kept(release, silent=True))
    driver.look(node("a", capacity=1e9), node("b", capacity=1e-9), mine=["s"])
    assert driver.membership.waits_for == {}
    driver.tick(60.0)
    found = of(Release, driver.look(*DRAINING, mine=["s"])) or of(Release, driver.look(*DRAINING, mine=["s"]))
    assert not found[0].though_silent


def test_without_another_node_that_claims_systems_a_drain_waits_for_one(driver: Driver) -> None:
    owning(driver, "s")
    assert not of(Release, driver.look(node("a", draining=True), node("b", draining=True)))
    assert driver.membership.waits_for == {"s": Why.NO_NODE}
    driver.look(node("a"), node("b", draining=True))
    assert driver.membership.waits_for == {}
