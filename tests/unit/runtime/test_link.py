"""The link: exactly once and in order over a network that loses, doubles and reorders."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.runtime.link import Frame, FrameAck, Link, OutboxFull


def link(own: int = 1, peer: int = 2, **options: object) -> Link[int]:
    return Link(own, peer, size=lambda _: 10, **{"max_items": 3, "resend_after": 1.0, **options})  # type: ignore[arg-type]


def test_one_frame_is_in_flight_and_the_rest_gathers() -> None:
    a = link()
    a.post(1)
    assert a.poll(0.0) == Frame(1, 2, 1, (1,))
    for item in (2, 3, 4, 5):
        a.post(item)
    assert a.poll(0.5) is None
    assert a.on_ack(FrameAck(2, 1, 1))
    assert a.poll(0.5) == Frame(1, 2, 2, (2, 3, 4))
    assert a.held == 4


def test_a_frame_respects_its_bytes_and_a_large_item_travels_alone() -> None:
    a = Link[int](1, 2, size=lambda item: item, max_bytes=10)
    for item in (4, 6, 1, 99, 1):
        a.post(item)
    sent = []
    for seq in range(1, 5):
        frame = a.poll(0.0)
        assert frame is not None
        sent.append(frame.items)
        a.on_ack(FrameAck(2, 1, seq))
    assert sent == [(4, 6), (1,), (99,), (1,)]


def test_resends_back_off_and_silence_is_measured_from_the_first_send() -> None:
    a = link()
    a.post(1)
    first = a.poll(0.0)
    assert a.due() == 1.0
    assert [at for at in range(1, 40) if a.poll(float(at)) == first] == [1, 3, 7, 15, 23, 31, 39]
    assert a.silent_for(39.0) == 39.0
    a.on_ack(FrameAck(2, 1, 1))
    assert a.silent_for(40.0) == 0.0
    assert a.due() is None


def test_a_duplicate_brings_nothing_and_is_acknowledged_again() -> None:
    b = link(2, 1)
    frame = Frame(1, 2, 1, (7,))
    assert b.on_frame(frame) == ((7,), FrameAck(2, 1, 1))
    assert b.on_frame(frame) == ((), FrameAck(2, 1, 1))


@pytest.mark.parametrize("frame", [Frame(9, 2, 1, (7,)), Frame(1, 9, 1, (7,)), Frame(1, 2, 2, (7,))])
def test_frames_of_another_epoch_or_from_the_future_are_ignored(frame: Frame) -> None:
    assert link(2, 1).on_frame(frame) == ((), None)


@pytest.mark.parametrize("ack", [FrameAck(9, 1, 1), FrameAck(2, 9, 1), FrameAck(2, 1, 0)])
def test_acks_of_another_epoch_or_of_an_older_frame_settle_nothing(ack: FrameAck) -> None:
    a = link()
    a.post(1)
    a.poll(0.0)
    assert not a.on_ack(ack)
    assert a.held == 1


def test_a_new_epoch_hands_back_what_is_not_acknowledged() -> None:
    a = link(max_items=1)
    a.post(1)
    a.post(2)
    a.poll(0.0)
    assert a.reset(2) == []
    assert a.reset(3) == [1, 2]
    assert (a.peer_epoch, a.held) == (3, 0)
    a.post(5)
    assert a.poll(0.0) == Frame(1, 3, 1, (5,))


def test_posting_beyond_the_bound_raises() -> None:
    a = link(capacity=2)
    a.post(1)
    a.post(2)
    a.poll(0.0)
    with pytest.raises(OutboxFull):
        a.post(3)


class Net:
    """Two ends and a network between them that does what it likes with each message."""

    def __init__(self, seed: int, loss: float) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.epoch = 2
        self.a = link(1, 2, capacity=10_000)
        self.b = link(2, 1, capacity=10_000)
        self.wire: list[tuple[str, object]] = []
        self.got: list[int] = []
        self.lives: list[list[int]] = []

    def send(self, to: str, message: object) -> None:
        if self.random.random() >= self.loss:
            self.wire.extend([(to, message)] * (2 if self.random.random() < 0.2 else 1))

    def step(self, now: float) -> None:
        frame = self.a.poll(now)
        if frame is not None:
            self.send("b", frame)
        if self.wire and self.random.random() < 0.8:
            to, message = self.wire.pop(self.random.randrange(len(self.wire)))
            self.deliver(to, message)

    def deliver(self, to: str, message: object) -> None:
        if to == "a":
            assert isinstance(message, FrameAck)
            self.a.on_ack(message)
            return
        assert isinstance(message, Frame)
        items, ack = self.b.on_frame(message)
        self.got.extend(items)
        if ack is not None:
            self.send("a", ack)

    def replace_b(self) -> None:
        """B dies and is born again; A learns of it and posts again what was not acknowledged. Old messages fly on."""
        self.lives.append(self.got)
        self.got = []
        self.epoch += 1
        self.b = link(self.epoch, 1, capacity=10_000)
        for item in self.a.reset(self.epoch):
            self.a.post(item)


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0.0, 0.7),
    items=st.integers(1, 60),
    deaths=st.sets(st.integers(1, 300), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_items_arrive_exactly_once_and_in_order_in_each_life(
    seed: int, loss: float, items: int, deaths: set[int]
) -> None:
    net = Net(seed, loss)
    for item in range(items):
        net.a.post(item)
    for tick in range(100_000):
        if tick in deaths:
            net.replace_b()
        net.step(tick * 0.5)
        if net.a.held == 0 and tick > max(deaths, default=0):
            break
    assert net.a.held == 0
    lives = [*net.lives, net.got]
    for life in lives:
        assert life == list(range(life[0], life[0] + len(life))) if life else True
    # Each life begins at or before where the one before it ended: nothing is skipped, only the unsettled is repeated.
    reached = 0
    for life in lives:
        if life:
            assert life[0] <= reached
            reached = max(reached, life[-1] + 1)
    assert reached == items
