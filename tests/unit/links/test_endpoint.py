"""A peer: when what was posted travels, and what acknowledges it."""

import asyncio
from collections.abc import Callable

from maestro.links.endpoint import LAZY_FOR, Peer, Window
from maestro.links.link import ACK_WITHIN, WINDOW, Frame, FrameAck
from maestro.settings.model import ActorSettings
from maestro.telemetry.definitions import LINK_RESENDS
from maestro.telemetry.metrics import MetricsRegistry


class Wire:
    """An outlet that delivers to the other end soon, while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.sent: list[object] = []
        self.other: Peer | None = None

    def send(self, _address: object, message: object) -> None:
        self.sent.append(message)
        if self.up and self.other is not None:
            asyncio.get_running_loop().call_soon(self.other.receive, message)

    @property
    def frames(self) -> list[tuple[object, ...]]:
        return [message.items for message in self.sent if isinstance(message, Frame)]

    @property
    def acks(self) -> int:
        return sum(isinstance(message, FrameAck) for message in self.sent)


class Pair:
    def __init__(
        self,
        on_item: Callable[[object], None] | None = None,
        window: Window | None = None,
        resend_after: float = 2.0,
    ) -> None:
        settings = ActorSettings(resend_after=resend_after)
        self.got: list[object] = []
        self.registry = MetricsRegistry()
        self.there, self.back = Wire(), Wire()
        self.a = Peer(self.there, "b", 1, 2, settings, lambda _: None, self.registry, window)
        self.b = Peer(self.back, "a", 2, 1, settings, on_item or self.got.append, MetricsRegistry())
        self.there.other, self.back.other = self.b, self.a

    def close(self) -> None:
        self.a.close()
        self.b.close()

    @property
    def resends(self) -> float:
        return sum(sample.value for sample in self.registry.snapshot().samples if sample.metric == LINK_RESENDS.name)


async def test_what_is_posted_in_one_go_travels_together() -> None:
    pair = Pair()
    pair.a.post(1)
    pair.a.post(2)
    await asyncio.sleep(0.02)
    assert pair.there.frames == [(1, 2)]
    assert pair.got == [1, 2]
    pair.close()


async def test_what_can_wait_waits_for_others() -> None:
    pair = Pair()
    pair.a.post(1, lazy=True)
    await asyncio.sleep(LAZY_FOR / 2)
    assert pair.there.frames == []
    pair.a.post(2)
    await asyncio.sleep(0.02)
    pair.a.post(3, lazy=True)
    await asyncio.sleep(LAZY_FOR * 2)
    assert pair.there.frames == [(1, 2), (3,)]
    pair.close()


async def test_one_acknowledgement_for_a_window_of_frames() -> None:
    pair = Pair()
    for number in range(WINDOW):
        pair.a.post(number)
        await asyncio.sleep(0.005)
    assert pair.back.acks == 1
    assert pair.got == list(range(WINDOW))
    pair.close()


async def test_a_lonely_frame_is_acknowledged_after_a_moment() -> None:
    pair = Pair()
    pair.a.post(1)
    await asyncio.sleep(ACK_WITHIN / 2)
    assert pair.back.acks == 0
    await asyncio.sleep(ACK_WITHIN)
    assert pair.back.acks == 1
    assert pair.a.silent_for() == 0.0
    pair.close()


async def test_an_answer_acknowledges_what_it_answers() -> None:
    pair = Pair(on_item=lambda item: pair.b.post(item, lazy=False))
    for number in range(3):
        pair.a.post(number)
        await asyncio.sleep(0.02)
    assert pair.back.frames == [(0,), (1,), (2,)]
    assert pair.back.acks == 0
    pair.close()


async def test_what_can_wait_takes_an_acknowledgement_along_that_is_due() -> None:
    pair = Pair(on_item=lambda item: pair.b.post(item, lazy=True))
    for number in range(WINDOW):
        pair.a.post(number)
        await asyncio.sleep(0.005)
    assert pair.back.frames == [tuple(range(WINDOW))]
    assert pair.back.acks == 0
    pair.close()


async def test_where_places_are_scarce_acknowledgements_do_not_wait() -> None:
    window = Window(3)
    pairs = [Pair(window=window) for _ in range(3)]
    for pair in pairs:
        pair.a.post(1)
    await asyncio.sleep(0.05)
    assert [pair.back.acks for pair in pairs] == [0, 1, 1]
    for pair in pairs:
        pair.close()


async def test_what_got_lost_is_sent_again() -> None:
    pair = Pair(resend_after=0.05)
    pair.there.up = False
    pair.a.post(1)
    await asyncio.sleep(0.02)
    assert pair.a.silent_for() > 0
    pair.there.up = True
    await asyncio.sleep(0.1)
    assert pair.got == [1]
    assert pair.resends == 1
    pair.close()


async def test_an_item_that_cannot_be_taken_holds_up_nothing() -> None:
    def fails(_: object) -> None:
        raise ValueError

    pair = Pair(on_item=fails)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for number in range(WINDOW):
        pair.a.post(number)
        await asyncio.sleep(0.005)
    assert pair.back.acks == 1
    pair.close()
