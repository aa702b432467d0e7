"""What is held is handed over to each session until it is settled."""

from typing import Any

import pytest

from maestro.broker.base import Delivery
from maestro.broker.topology import ERROR_HEADER, ERROR_ID_HEADER, OUTCOMES, SystemQueues
from maestro.ingress.held import LARGEST, HeldDeliveries, unfit
from maestro.messages.ingress import Arrived, Ended, Source

QUEUES = SystemQueues("s")
OUTCOME = b'{"args": [{"name": "a.done", "systemId": "s", "scope": "execution", "payload": {"instance_id": "i"}}]}'


class FakeSession:
    """Keeps what is posted."""

    def __init__(self) -> None:
        self.posted: list[Any] = []

    def post(self, item: object, *, lazy: bool = False) -> None:
        assert lazy is isinstance(item, Ended)
        self.posted.append(item)

    @property
    def bodies(self) -> list[bytes]:
        return [item.body for item in self.posted if isinstance(item, Arrived)]


class World:
    """What is held, and how often somebody was wanted for it."""

    def __init__(self) -> None:
        self.wanted = 0
        self.held = HeldDeliveries(QUEUES, self._want)

    def _want(self) -> None:
        self.wanted += 1

    def session(self) -> FakeSession:
        session = FakeSession()
        self.held.attach(session)  # type: ignore[arg-type]
        return session


@pytest.fixture
def world() -> World:
    return World()


def delivery(queue: str, body: bytes = b"body", *, redelivered: bool = False, problem: str = "", **headers: str) -> Any:
    return Delivery(queue, body, "id", headers, redelivered=redelivered, tag=object(), problem=problem)


def persisted(body: bytes = b"body", *, redelivered: bool = False, problem: str = "", **headers: str) -> Any:
    return delivery(QUEUES.persist, body, redelivered=redelivered, problem=problem, **headers)


def test_each_session_is_handed_what_is_held_in_its_order_and_marked_as_seen(world: World) -> None:
    world.held.take(persisted(b"before"))
    first = world.session()
    settled = world.held.take(persisted(b"settled"))
    world.held.take(persisted(b"after"))
    assert first.bodies == [b"before", b"settled", b"after"]
    assert not any(item.redelivered for item in first.posted)
    assert world.held.pop(settled) is not None
    world.held.detach()
    second = world.session()
    assert second.bodies == [b"before", b"after"]
    assert all(item.redelivered for item in second.posted)
    assert [item.ref for item in second.posted] == [first.posted[0].ref, first.posted[2].ref]


def test_a_delivery_is_settled_once(world: World) -> None:
    ref = world.held.take(persisted())
    assert world.held.pop(ref) is not None
    assert world.held.pop(ref) is None
    assert len(world.held) == 0


def test_copies_of_waiting_events_are_handed_over_while_the_wait_queue_is_fed(world: World) -> None:
    session = world.session()
    world.held.take(delivery(QUEUES.wait, b"copy"))
    moving = world.held.take(delivery(QUEUES.wait, b"moving"))
    assert session.bodies == []
    world.held.feed(on=True)
    assert session.bodies == [b"copy", b"moving"]
    world.held.feed(on=False)
    world.held.moving.add(moving)
    world.held.feed(on=True)
    assert session.bodies == [b"copy", b"moving", b"copy"]


def test_a_copy_that_is_being_moved_is_not_given_back(world: World) -> None:
    world.held.take(persisted(b"no copy"))
    world.held.take(delivery(QUEUES.wait, b"copy"))
    moving = world.held.take(delivery(QUEUES.wait, b"moving"))
    world.held.moving.add(moving)
    assert world.held.any_waiting_moves
    assert [one.body for one in world.held.pop_waiting()] == [b"copy"]
    assert world.held.any_waits
    assert world.held.pop(moving) is not None
    assert not world.held.any_waits
    assert not world.held.any_waiting_moves
    assert len(world.held) == 1


def test_what_is_void_is_not_handed_over_again_and_other_queues_are_kept(world: World) -> None:
    world.held.take(persisted(b"void"))
    world.held.take_outcome(delivery(OUTCOMES, OUTCOME))
    world.held.void(QUEUES.persist)
    session = world.session()
    assert [type(item) for item in session.posted] == [Ended]


def test_nothing_is_handed_over_until_the_events_are_known_to_be_ours(world: World) -> None:
    world.held.own(ours=False)
    session = world.session()
    world.held.take(persisted())
    world.held.detach()
    assert not world.held.needed, "nobody is woken for what may be another's"
    session = world.session()
    assert session.posted == []
    world.held.own(ours=True)
    assert session.bodies == [b"body"]
    world.held.own(ours=True)
    assert session.bodies == [b"body"], "said again, it changes nothing"


def test_once_events_without_a_session_are_known_to_be_ours_somebody_is_wanted(world: World) -> None:
    world.held.own(ours=False)
    world.held.take(persisted())
    before = world.wanted
    world.held.own(ours=True)
    assert world.held.needed
    assert world.wanted == before + 1


@pytest.mark.parametrize("bad", [persisted(problem="headers: cannot be decoded"), persisted(b"x" * (LARGEST + 1))])
def test_what_is_unfit_is_held_and_never_handed_over(world: World, bad: Any) -> None:
    assert unfit(bad)
    session = world.session()
    ref = world.held.take(bad)
    assert session.posted == []
    assert world.held.pop(ref) is bad
    world.held.detach()
    assert world.held.needed, "what its system says of its error queue is not true any more"
    assert world.session().posted == []
    assert not world.held.needed


def test_the_largest_body_is_fit() -> None:
    assert not unfit(persisted(b"x" * LARGEST))


def test_what_comes_without_a_session_wants_one_and_an_outcome_does_not(world: World) -> None:
    world.held.take_outcome(delivery(OUTCOMES, OUTCOME))
    assert world.wanted == 0
    world.held.take(persisted())
    assert world.wanted == 1
    world.session()
    world.held.take(persisted())
    assert world.wanted == 1
    world.held.detach()
    assert world.wanted == 2


def test_outcomes_are_heard_from_the_first_session_until_the_system_leaves(world: World) -> None:
    assert not world.held.hears
    world.session()
    world.held.detach()
    assert world.held.hears, "a process that is replaced is not at rest"
    world.held.left = True
    assert not world.held.hears
    world.session()
    assert world.held.hears


def test_marks_come_along(world: World) -> None:
    session = world.session()
    world.held.feed(on=True)
    world.held.take(delivery(QUEUES.wait))
    world.held.take(persisted())
    world.held.take(persisted(**{ERROR_HEADER: "why", ERROR_ID_HEADER: "~sync/ab/1"}))
    assert [(item.source, item.mark, item.redriven) for item in session.posted] == [
        (Source.WAIT, "id", False),
        (Source.PERSIST, "", False),
        (Source.PERSIST, "~sync/ab/1", True),
    ]


def test_what_is_of_before_an_adoption_is_marked_until_all_of_it_has_come(world: World) -> None:
    done: list[bool] = []
    world.held.adopt(lambda: done.append(True))
    session = world.session()
    world.held.feed(on=True)
    world.held.take(persisted(b"was out", redelivered=True))
    world.held.take(persisted(b"redriven", redelivered=True, **{ERROR_HEADER: "why"}))
    world.held.take(persisted(b"new"))
    world.held.take(persisted(b"out of our own hands", redelivered=True))
    world.held.take(delivery(QUEUES.wait, b"waited"))
    foreign = {item.body: item.foreign for item in session.posted}
    assert [body for body, of_before in foreign.items() if of_before] == [b"was out", b"waited"]
    again = world.session()
    assert {item.body: item.foreign for item in again.posted} == foreign, "marked as it was"
    assert not done
    world.held.none_left(Source.WAIT)
    world.held.none_left(Source.WAIT)
    assert done == [True]
    world.held.take(delivery(QUEUES.wait, b"parked since"))
    assert not again.posted[-1].foreign


def test_all_that_is_held_is_given_up_in_its_order(world: World) -> None:
    session = world.session()
    world.held.take(persisted(b"1"))
    world.held.take(delivery(QUEUES.wait, b"2"))
    world.held.take(persisted(b"3"))
    assert [one.body for one in world.held.pop_all()] == [b"1", b"2", b"3"]
    assert not world.held.attached
    world.held.post(object())
    assert session.bodies == [b"1", b"3"]


def test_the_first_that_is_held_is_the_original(world: World) -> None:
    gone, there = world.held.take(persisted(b"gone")), world.held.take(persisted(b"there"))
    world.held.pop(gone)
    found = world.held.first((gone, there))
    assert found is not None
    assert found.body == b"there"
    assert world.held.first((gone,)) is None
