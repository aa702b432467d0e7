"""Which owner message is one's own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from maestro.board.lease import LeaseHolder, Standing, make_lease
from maestro.broker.base import Delivery, Depth, Message, QueueUnavailable
from maestro.broker.topology import OWNER
from maestro.ingress import ownership
from maestro.ingress.ownership import Ownership, objection, owner_body
from maestro.settings.servers import BrokerSettings
from maestro.store.base import StoreError
from maestro.store.installation import Installation
from tests.support.brokers import eventually

OURS = Installation("one", 5, "run5")


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        (OURS, ""),
        (Installation("one", 4, "run4"), ""),
        (Installation("one", 6, "run6"), "old copy: start 6"),
        (Installation("one", 5, "another"), "old copy: start 5"),
        (Installation("two", 1, "run1"), "another Maestro, whose data folder has the id two"),
    ],
)
def test_an_owner_is_a_start_of_this_folder_up_to_this_one(theirs: Installation, text: str) -> None:
    why = objection(owner_body(theirs), OURS)
    assert (text in why) if text else not why


@pytest.mark.parametrize("body", [b"", b"{}", b'{"installation":1,"start":"x"}', b"\xff"])
def test_what_is_no_owner_message_is_nobodys(body: bytes) -> None:
    assert "is not Maestro's" in objection(body, OURS)


CLUSTER = Installation("cluster grid")


class FakeBroker:
    """One owner queue, whose messages go to its consumer when the test says so."""

    def __init__(self) -> None:
        self.deliver: Callable[[Delivery], None] = lambda _delivery: None
        self.published: list[bytes] = []
        self.out_of_reach = False
        self.given_back: list[bytes] = []
        self.acked: list[bytes] = []

    async def declare(self, *_: Any, **__: Any) -> None:
        return

    async def depth(self, _queue: str) -> Depth:
        if self.out_of_reach:
            raise QueueUnavailable("its leader is lost")
        return Depth(0, 1)

    async def consume(
        self, _queue: str, _prefetch: int, on_delivery: Callable[[Delivery], None], _on_lost: Any, **__: Any
    ) -> "FakeBroker":
        self.deliver = on_delivery
        return self

    async def cancel(self) -> None:
        return

    async def publish(self, _exchange: str, _key: str, message: Message) -> None:
        self.published.append(message.body)

    def ack(self, delivery: Delivery) -> None:
        self.acked.append(delivery.body)

    def requeue(self, delivery: Delivery) -> None:
        self.given_back.append(delivery.body)


class Node:
    """The ownership of one node of a cluster."""

    def __init__(self, folder: Path) -> None:
        make_lease(folder, Standing.UNKNOWN)
        self.broker, self.held_elsewhere = FakeBroker(), False
        self.standings: list[Standing] = []
        #: How often what is known of the owner cannot be stored.
        self.full = 0
        self.stored: list[Installation] = []
        self.ownership = Ownership(
            self.broker, BrokerSettings(heartbeat=1), OURS, CLUSTER, lambda: self.held_elsewhere, LeaseHolder(folder),
            self._store, self.standings.append,
        )  # type: ignore[arg-type]  # fmt: skip
        self.task = asyncio.create_task(self.ownership.run())

    def _store(self, known: Installation) -> None:
        if self.full:
            self.full -= 1
            raise StoreError("installation: no space left on device")
        self.stored.append(known)

    def gets(self, owner: Installation) -> None:
        self.broker.deliver(Delivery(OWNER, owner_body(owner), "id", {}, redelivered=False, tag=object()))

    async def stands(self, standing: Standing) -> None:
        await eventually(lambda: self.standings[-1:] == [standing], standing.name)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(ownership, "LISTEN", 0.05)
    monkeypatch.setattr(ownership, "LISTEN_AGAIN", 0.05)
    monkeypatch.setattr(ownership, "_STALE_HEARTBEATS", 0.2)
    node = Node(tmp_path)
    yield node
    node.task.cancel()
    await asyncio.gather(node.task, return_exceptions=True)


async def test_a_node_acts_while_another_one_says_that_it_holds_the_message_and_is_next_in_line(node: Node) -> None:
    node.held_elsewhere = True
    await node.stands(Standing.SHARED)
    assert node.broker.published == []
    assert node.ownership.problem == ""
    node.gets(CLUSTER)  # the other one is gone
    await node.stands(Standing.HELD)
    await eventually(lambda: node.broker.published == [owner_body(CLUSTER)], "renewed")


async def test_a_folder_that_takes_nothing_for_a_moment_does_not_end_it(node: Node) -> None:
    node.ownership._settings = BrokerSettings(heartbeat=1, owner_renewal=0.01)
    node.full = 2
    await eventually(lambda: node.broker.deliver.__name__ != "<lambda>", "consumed")
    node.gets(CLUSTER)
    await node.stands(Standing.HELD)
    assert node.stored == []
    await eventually(lambda: [known.owner for known in node.stored] == [True], "stored with a renewal")


async def test_a_node_acts_with_the_others_though_the_queue_is_out_of_reach_for_it(node: Node) -> None:
    node.broker.out_of_reach = node.held_elsewhere = True
    await node.stands(Standing.SHARED)
    assert node.broker.published == []
    node.held_elsewhere = False
    await node.stands(Standing.AWAY)
    await asyncio.sleep(0.2)
    assert node.standings[-1] is Standing.AWAY, "what nobody can ask for is not another's"


async def test_when_no_node_says_so_any_more_somebody_else_holds_it(node: Node) -> None:
    node.held_elsewhere = True
    await node.stands(Standing.SHARED)
    node.held_elsewhere = False
    await node.stands(Standing.REFUSED)
    assert Standing.AWAY in node.standings
    assert "another Maestro" in node.ownership.problem


async def test_another_cluster_is_another_owner(node: Node) -> None:
    await eventually(lambda: node.broker.deliver.__name__ != "<lambda>", "consumed")
    node.gets(Installation("cluster other"))
    await node.stands(Standing.REFUSED)
    assert "belong to the cluster other" in node.ownership.problem


async def test_a_cluster_takes_along_what_its_first_node_owned_alone(node: Node) -> None:
    await eventually(lambda: node.broker.deliver.__name__ != "<lambda>", "consumed")
    alone = Installation("one", 4, "run4")
    node.gets(alone)
    await node.stands(Standing.HELD)
    node.gets(CLUSTER)  # what it has put behind
    await eventually(lambda: node.broker.acked == [owner_body(alone)], "taken along")
