"""The link: exactly once and in order over a network that loses, doubles and reorders."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.links.link import ACK_WITHIN, PACE, WINDOW, Frame, FrameAck, Link, OutboxFull


def link(own: int = 1, peer: int = 2, **options: object) -> Link[int]:
    return Link(own, peer, size=lambda _: 10, **{"max_items": 3, "resend_after": 1.0, **options})  # type: ignore[arg-type]


def launched(end: Link[int], now: float, *items: int, **options: bool) -> Frame:
    for item in items:
        end.post(item)
    frame = end.launch(now, **options)
    assert frame is not None
    return frame


def test_what_gathers_makes_the_next_frame() -> None:
    a = link()
    assert launched(a, 0.0, 1) == Frame(1, 2, 1, (1,))
    for item in (2, 3, 4, 5):
        a.post(item)
    assert not a.may_launch(PACE / 2)
    assert a.due() == PACE
    assert a.launch(PACE) == Frame(1, 2, 2, (2, 3, 4), awaited=True)
    assert a.launch(9.0) is None, "the last one is awaited"
    assert a.on_ack(FrameAck(2, 1, 2))
    assert a.launch(PACE) == Frame(1, 2, 3, (5,))
    assert (a.held, a.waiting) == (1, 0)


def test_the_first_frame_waits_for_nothing() -> None:
    a = link()
    a.post(1)
    assert a.due() == float("-inf")
    assert a.due(launching=False) is None
    assert a.launch(0.0)


def test_the_last_frame_that_may_fly_is_awaited() -> None:
    a = link()
    awaited = [launched(a, float(n), n).awaited for n in range(WINDOW)]
    assert awaited == [False] * (WINDOW - 1) + [True]
    a.post(99)
    assert a.launch(100.0) is None
    assert a.on_ack(FrameAck(2, 1, 3))
    assert a.launch(100.0) is None, "it goes on once the awaited one is acknowledged"
    assert a.on_ack(FrameAck(2, 1, WINDOW))
    assert launched(a, 100.0).items == (99,)


def test_half_the_bytes_in_flight_are_awaited() -> None:
    a = Link[int](1, 2, size=lambda item: item, max_bytes=10)
    assert not launched(a, 0.0, 2).awaited
    assert not launched(a, 1.0, 3).awaited
    assert launched(a, 2.0, 1).awaited is True


def test_an_acknowledgement_may_be_awaited() -> None:
    assert launched(link(), 0.0, 1, awaited=True).awaited is True


def test_a_frame_respects_its_bytes_and_a_large_item_travels_alone() -> None:
    a = Link[int](1, 2, size=lambda item: item, max_bytes=10)
    for item in (4, 6, 1, 99, 1):
        a.post(item)
    sent = []
    for seq in range(1, 5):
        sent.append(launched(a, 0.0).items)
        a.on_ack(FrameAck(2, 1, seq))
    assert sent == [(4, 6), (1,), (99,), (1,)]


def test_resends_back_off_and_silence_is_measured_from_the_first_send() -> None:
    a = link()
    first = launched(a, 0.0, 1)
    launched(a, 0.5, 2)
    assert a.due() == 1.0
    assert [at for at in range(1, 40) if a.resend(float(at)) == first] == [1, 3, 7, 15, 23, 31, 39]
    assert a.silent_for(39.0) == 39.0
    a.on_ack(FrameAck(2, 1, 1))
    assert a.silent_for(40.0) == 39.5
    assert a.resend(40.0) == Frame(1, 2, 2, (2,))
    a.on_ack(FrameAck(2, 1, 2))
    assert a.silent_for(41.0) == 0.0
    assert a.due() is None


def test_an_acknowledgement_waits_for_others_unless_it_is_awaited() -> None:
    b = link(2, 1, resend_after=4 * ACK_WITHIN)
    assert b.on_frame(Frame(1, 2, 1, (7,)), 0.0) == (7,)
    assert b.acknowledge(0.0) is None
    assert b.due() == ACK_WITHIN
    assert b.on_frame(Frame(1, 2, 2, (8,)), ACK_WITHIN / 2) == (8,)
    assert b.acknowledge(ACK_WITHIN) == FrameAck(2, 1, 2)
    assert b.acknowledge(1.0) is None
    assert b.on_frame(Frame(1, 2, 3, (9,), awaited=True), 2.0) == (9,)
    assert b.acknowledge(2.0) == FrameAck(2, 1, 3)


def test_an_acknowledgement_travels_with_a_frame() -> None:
    a, b = link(), link(2, 1)
    b.on_frame(launched(a, 0.0, 1), 0.0)
    back = launched(b, 0.0, 5)
    assert back.ack == 1
    assert b.acknowledge(9.0) is None
    assert a.on_frame(back, 0.0) == (5,)
    assert not a.flying


def test_a_duplicate_brings_nothing_and_is_acknowledged_at_once() -> None:
    b = link(2, 1)
    frame = Frame(1, 2, 1, (7,))
    assert b.on_frame(frame, 0.0) == (7,)
    assert b.on_frame(frame, 0.0) == ()
    assert b.acknowledge(0.0) == FrameAck(2, 1, 1)


def test_frames_that_overtake_each_other_arrive_in_order() -> None:
    b = link(2, 1)
    assert b.on_frame(Frame(1, 2, 3, (9,), awaited=True), 0.0) == ()
    assert b.on_frame(Frame(1, 2, 2, (8,)), 0.0) == ()
    assert b.acknowledge(9.0) is None
    assert b.on_frame(Frame(1, 2, 1, (7,)), 0.0) == (7, 8, 9)
    assert b.acknowledge(0.0) == FrameAck(2, 1, 3)


@pytest.mark.parametrize("frame", [Frame(9, 2, 1, (7,)), Frame(1, 9, 1, (7,)), Frame(1, 2, 1 + WINDOW, (7,))])
def test_frames_of_another_epoch_or_from_beyond_the_window_bring_nothing(frame: Frame) -> None:
    b = link(2, 1)
    assert b.on_frame(frame, 0.0) == ()
    assert b.on_frame(Frame(1, 2, 1, (1,)), 0.0) == (1,)


@pytest.mark.parametrize("ack", [FrameAck(9, 1, 1), FrameAck(2, 9, 1), FrameAck(2, 1, 0)])
def test_acks_of_another_epoch_or_of_an_older_frame_settle_nothing(ack: FrameAck) -> None:
    a = link()
    launched(a, 0.0, 1)
    assert not a.on_ack(ack)
    assert a.held == 1


def test_a_new_epoch_hands_back_what_is_not_acknowledged() -> None:
    a = link(max_items=1)
    launched(a, 0.0, 1, 2)
    assert a.reset(2) == []
    assert a.reset(3) == [1, 2]
    assert (a.peer_epoch, a.held) == (3, 0)
    assert launched(a, 0.0, 5) == Frame(1, 3, 1, (5,))


def test_posting_beyond_the_bound_raises() -> None:
    a = link(capacity=2)
    launched(a, 0.0, 1, 2)
    with pytest.raises(OutboxFull):
        a.post(3)


class Net:
    """Two ends and a network between them that does what it likes with each message."""

    def __init__(self, seed: int, loss: float, step: float) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.epoch = 2
        self.patience = 2 * step
        self.a = link(1, 2, capacity=10_000, resend_after=self.patience)
        self.b = link(2, 1, capacity=10_000, resend_after=self.patience)
        self.wire: list[tuple[str, object]] = []
        self.got: list[int] = []
        #: What came back to A in this life of B, and how many answers were posted in it.
        self.back: list[int] = []
        self.answered = 0
        self.lives: list[list[int]] = []

    def send(self, to: str, message: object) -> None:
        if self.random.random() >= self.loss:
            self.wire.extend([(to, message)] * (2 if self.random.random() < 0.2 else 1))

    def step(self, now: float) -> None:
        for end, other in ((self.a, "b"), (self.b, "a")):
            for message in (end.resend(now), end.launch(now), end.acknowledge(now)):
                if message is not None:
                    self.send(other, message)
        if self.wire and self.random.random() < 0.8:
            to, message = self.wire.pop(self.random.randrange(len(self.wire)))
            self.deliver(to, message, now)

    def deliver(self, to: str, message: object, now: float) -> None:
        end, got = (self.a, self.back) if to == "a" else (self.b, self.got)
        if isinstance(message, FrameAck):
            end.on_ack(message)
            return
        assert isinstance(message, Frame)
        items = end.on_frame(message, now)
        got.extend(items)
        if to == "b" and self.random.random() < 0.5:
            for _ in items:
                self.answered += 1
                end.post(self.answered)

    def replace_b(self) -> None:
        """B dies and is born again; A learns of it and posts again what was not acknowledged. Old messages fly on."""
        self.lives.append(self.got)
        self.got = []
        assert self.back == list(range(1, len(self.back) + 1))
        self.back, self.answered = [], 0
        self.epoch += 1
        self.b = link(self.epoch, 1, capacity=10_000, resend_after=self.patience)
        for item in self.a.reset(self.epoch):
            self.a.post(item)


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0.0, 0.7),
    items=st.integers(1, 60),
    deaths=st.sets(st.integers(1, 300), max_size=4),
    step=st.sampled_from([0.001, 0.02, 0.5]),
)
@settings(max_examples=150, deadline=None)
def test_items_arrive_exactly_once_and_in_order_in_each_life(
    seed: int, loss: float, items: int, deaths: set[int], step: float
) -> None:
    net = Net(seed, loss, step)
    for item in range(items):
        net.a.post(item)
    for tick in range(100_000):
        if tick in deaths:
            net.replace_b()
        net.step(tick * step)
        if net.a.held == net.b.held == 0 and tick > max(deaths, default=0):
            break
    assert net.a.held == net.b.held == 0
    assert net.back == list(range(1, net.answered + 1))
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
