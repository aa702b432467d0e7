"""What `Nodes` must do, in memory and in PostgreSQL: `ours` and `theirs` are two nodes' views of the same tables."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from maestro.cluster.node import Lease, Node
from maestro.cluster.waits import Why
from maestro.store.installation import Installation
from maestro.store.nodes import MemoryNodes, Nodes
from maestro.store.postgres.nodes import PostgresNodes
from maestro.store.postgres.stores import PostgresStores

A = Node("a", url="http://a:6971", capacity=2.0, version="1.0", schema=2, settings_digest="x", lease_seconds=4.0)
B = Node("b")


class Both(NamedTuple):
    ours: Nodes
    theirs: Nodes


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    if request.param == "memory":
        nodes = MemoryNodes()
        yield Both(nodes, nodes)
        return
    url = request.getfixturevalue("postgres_node").url(request.getfixturevalue("database"))
    await PostgresStores(url, 10.0, Path(), "plant").take(Installation("ours"))
    # Not called as the nodes that are broken: that ends the connections of these.
    found = Both(*(PostgresNodes(url, name, 10.0, 10.0, "plant") for name in ("ours", "theirs")))
    yield found
    await found.ours.close()
    await found.theirs.close()


@pytest.fixture
async def ours(both: Both) -> Nodes:
    return both.ours


@pytest.fixture
async def theirs(both: Both) -> Nodes:
    return both.theirs


async def joined(nodes: Nodes, node: Node) -> Lease:
    incarnation = await nodes.join(node)
    assert incarnation is not None
    return Lease(node.name, incarnation)


async def beats(nodes: Nodes) -> dict[str, int]:
    return {node.name: node.beat for node in (await nodes.look()).nodes}


# --- leases ----------------------------------------------------------------------------------------------------------


async def test_a_node_is_seen_as_it_joined(ours: Nodes, theirs: Nodes) -> None:
    await ours.join(A)
    await theirs.join(B)
    seen = (await theirs.look()).nodes
    assert seen[0] == replace(A, incarnation=1, beat=1, joined=1)
    assert (seen[1].name, seen[1].joined) == ("b", 2)


async def test_a_beat_renews_a_lease_that_is_held(ours: Nodes, theirs: Nodes) -> None:
    lease = await joined(ours, A)
    assert await ours.beat(lease, 2, holds_events=True)
    (seen,) = (await theirs.look()).nodes
    assert (seen.beat, seen.holds_events) == (2, True)
    assert not await ours.beat(lease, 2), "a beat that was overtaken renews nothing"
    assert not await ours.beat(Lease("a", 2), 3)
    assert not await ours.beat(Lease("b", 1), 3)
    assert await beats(theirs) == {"a": 2}


async def test_nobody_joins_under_a_name_whose_lease_is_held(ours: Nodes, theirs: Nodes) -> None:
    lease = await joined(ours, A)
    assert await theirs.join(A) is None
    await ours.leave(lease)
    assert await theirs.join(replace(A, url="http://other")) == 3, "the end of a lease raises it as well"
    assert (await ours.look()).nodes[0].url == "http://other"


async def test_a_lease_is_broken_only_if_its_beat_stood_still(ours: Nodes, theirs: Nodes) -> None:
    lease = await joined(ours, A)
    await ours.beat(lease, 2)
    assert not await theirs.break_lease(lease, 1)
    assert not await theirs.break_lease(Lease("a", 7), 2)
    assert await ours.beat(lease, 3)
    assert await theirs.break_lease(lease, 3)
    assert not await theirs.break_lease(lease, 3), "once"
    assert not await theirs.break_lease(Lease("a", 2), 0), "nobody holds it"
    assert not await ours.beat(lease, 4)
    assert await beats(ours) == {"a": 0}


async def test_a_new_lease_does_not_drain_and_a_drain_is_seen(ours: Nodes, theirs: Nodes) -> None:
    assert not await theirs.drain("a", draining=True), "there is none"
    lease = await joined(ours, A)
    assert await theirs.drain("a", draining=True)
    assert (await ours.look()).nodes[0].draining
    assert await theirs.drain("a", draining=False)
    assert not (await ours.look()).nodes[0].draining
    await theirs.drain("a", draining=True)
    await ours.leave(lease)
    assert not await theirs.drain("a", draining=True), "its lease has ended"
    await ours.join(A)
    assert not (await ours.look()).nodes[0].draining


async def test_others_see_what_a_node_that_drains_waits_for(ours: Nodes, theirs: Nodes) -> None:
    lease = await joined(ours, A)
    assert await ours.beat(lease, 2, waits_for={"s1": Why.IN_RUN, 's"2': Why.SILENT})
    seen = (await theirs.look()).nodes[0]
    assert seen.waits_for == (("s1", "in_run"), ('s"2', "silent"))
    await ours.claim(lease, ["s1"])
    assert (await theirs.owners(["s1"]))["s1"].waits_for == seen.waits_for
    assert await ours.beat(lease, 3)
    assert (await theirs.look()).nodes[0].waits_for == ()
    assert await ours.beat(lease, 4, waits_for={"s1": Why.UNCONFIRMED})
    await ours.leave(lease)
    assert (await theirs.look()).nodes[0].waits_for == ()


# --- systems ---------------------------------------------------------------------------------------------------------


async def test_a_claim_gets_what_is_unknown_or_free(ours: Nodes, theirs: Nodes) -> None:
    lease, other = await joined(ours, A), await joined(theirs, B)
    got = await ours.claim(lease, ["s", "t"])
    assert got.keys() == {"s", "t"}
    theirs_got = await theirs.claim(other, ["t", "u"])
    assert theirs_got.keys() == {"u"}
    assert await ours.mine(lease) == got
    await ours.release(lease, "t", got["t"])
    assert (await theirs.look()).free == {"t"}
    theirs_got |= await theirs.claim(other, ["s", "t"])
    assert theirs_got.keys() == {"t", "u"}
    assert await theirs.mine(other) == theirs_got
    assert (await ours.look()).free == frozenset()


async def test_a_release_that_comes_late_does_not_end_a_later_claim(ours: Nodes) -> None:
    lease = await joined(ours, A)
    first = await ours.claim(lease, ["s"])
    await ours.release(lease, "s", first["s"])
    again = await ours.claim(lease, ["s"])
    assert again["s"] > first["s"]
    await ours.release(lease, "s", first["s"])
    assert await ours.mine(lease) == again


async def test_only_who_holds_a_lease_claims(ours: Nodes, theirs: Nodes) -> None:
    lease = await joined(ours, A)
    assert await ours.claim(Lease("a", 2), ["s"]) == {}
    assert await ours.claim(Lease("b", 1), ["s"]) == {}
    await theirs.break_lease(lease, 1)
    assert await ours.claim(lease, ["s"]) == {}
    assert await ours.claim(Lease("a", 2), ["s"]) == {}, "an incarnation that nobody joined with"


async def test_a_broken_lease_owns_nothing(ours: Nodes, theirs: Nodes) -> None:
    lease, other = await joined(ours, A), await joined(theirs, B)
    had = await ours.claim(lease, ["s", "t"])
    await theirs.break_lease(lease, 1)
    assert (await theirs.look()).free == {"s", "t"}
    assert await ours.mine(lease) == {}
    await ours.release(lease, "s", had["s"])
    got = await theirs.claim(other, ["s"])
    assert got.keys() == {"s"}
    await ours.release(lease, "s", got["s"])
    assert await theirs.mine(other) == got, "its former owner releases nothing of another one's"


async def test_a_node_that_leaves_frees_its_systems_once(ours: Nodes, theirs: Nodes) -> None:
    lease, other = await joined(ours, A), await joined(theirs, B)
    await ours.claim(lease, ["s"])
    await theirs.claim(other, ["t"])
    await ours.leave(lease)
    assert (await theirs.look()).free == {"s"}
    again = await joined(ours, A)
    got = await ours.claim(again, ["s"])
    await ours.leave(lease)
    assert await ours.mine(again) == got, "a lease that has ended ends nothing more"


async def test_owners_are_those_that_hold_their_lease(ours: Nodes, theirs: Nodes) -> None:
    lease, other = await joined(ours, A), await joined(theirs, B)
    await ours.claim(lease, ["s"])
    await theirs.claim(other, ["t"])
    found = await theirs.owners(["s", "t", "u"])
    assert {system: node.name for system, node in found.items()} == {"s": "a", "t": "b"}
    assert found["s"].url == A.url
    await theirs.break_lease(lease, 1)
    assert set(await theirs.owners(["s", "t"])) == {"t"}


async def test_of_many_that_claim_at_once_one_gets_each(ours: Nodes, theirs: Nodes) -> None:
    lease, other = await joined(ours, A), await joined(theirs, B)
    wanted = [f"s{number:03d}" for number in range(200)]
    got, theirs_got = await asyncio.gather(ours.claim(lease, wanted), theirs.claim(other, wanted[::-1]))
    assert got.keys() | theirs_got.keys() == set(wanted)
    assert not got.keys() & theirs_got.keys()


async def test_of_many_that_break_at_once_one_does(ours: Nodes, theirs: Nodes) -> None:
    lease = await joined(ours, A)
    await ours.claim(lease, ["s"])
    done = await asyncio.gather(*(nodes.break_lease(lease, 1) for nodes in (theirs, ours) * 5))
    assert sum(done) == 1
