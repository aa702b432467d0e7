"""Sessions between one who listens and systems that dial: order, ends, greetings, and what cannot be read."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from maestro.links import dialer, session
from maestro.links.codec import LARGE, LIMIT, encode
from maestro.links.dialer import Dialer
from maestro.links.folder import check_peer, connect, make_folder
from maestro.links.items import INGRESS, OF_LISTENER, SYSTEM, VERSION, Hello
from maestro.links.listener import Listener
from maestro.links.session import AT_ONCE, CAPACITY, HIGH_WATER, ROOM, Session
from maestro.messages.ingress import Ack, Arrived, Park, Parked, Source
from maestro.settings.model import ActorSettings
from maestro.telemetry.metrics import MetricsRegistry
from tests.support.brokers import eventually


class Ingress:
    """Listens, and notes what comes."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.registry = MetricsRegistry()
        self.settings = ActorSettings()
        self.links = Listener(data_dir, Hello(INGRESS, 1), self.settings, self.registry, self.met)
        self.sessions: list[Session] = []
        self.got: list[object] = []
        self.lost = 0

    def met(self, _system: Hello, session: Session) -> None:
        self.sessions.append(session)
        session.on_item, session.on_lost = self.got.append, self.count

    def count(self) -> None:
        self.lost += 1


class System:
    """Dials, and notes what comes."""

    def __init__(self, data_dir: Path, epoch: int = 1, system_id: str = "s") -> None:
        own = Hello(SYSTEM, epoch, system_id=system_id)
        self.links = Dialer(data_dir, INGRESS, own, ActorSettings(), MetricsRegistry(), self.met)
        self.sessions: list[Session] = []
        self.got: list[object] = []
        self.lost = 0

    def met(self, session: Session) -> None:
        self.sessions.append(session)
        session.on_item, session.on_lost = self.got.append, self.count

    def count(self) -> None:
        self.lost += 1


@pytest.fixture
async def ingress(tmp_path: Path) -> AsyncIterator[Ingress]:
    make_folder(tmp_path)
    ingress = Ingress(tmp_path)
    ingress.links.open()
    yield ingress
    await ingress.links.close()


@pytest.fixture
async def system(ingress: Ingress) -> AsyncIterator[System]:
    system = System(ingress.data_dir)
    system.links.open()
    await eventually(lambda: system.sessions and ingress.sessions, "they met")
    yield system
    await system.links.close()


def arrived(ref: int, size: int = 10) -> Arrived:
    return Arrived(ref, Source.PERSIST, bytes(size), redelivered=False)


async def test_items_come_in_order_both_ways(ingress: Ingress, system: System) -> None:
    there = [arrived(ref, 5000) for ref in range(500)]
    back = [Ack(ref) for ref in range(500)]
    for item, answer in zip(there, back, strict=True):
        ingress.sessions[0].post(item)
        system.sessions[0].post(answer)
    await eventually(lambda: len(system.got) == len(ingress.got) == 500, "all came")
    assert system.got == there
    assert ingress.got == back


async def test_what_can_wait_travels_with_others_and_keeps_its_place(
    ingress: Ingress, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LAZY_FOR", 0.2)
    system.sessions[0].post(Ack(1), lazy=True)
    await asyncio.sleep(0.05)
    assert ingress.got == []
    system.sessions[0].post(Ack(2))
    await eventually(lambda: ingress.got == [Ack(1), Ack(2)], "both came")
    system.sessions[0].post(Ack(3), lazy=True)
    await eventually(lambda: len(ingress.got) == 3, "it came after a while")


async def test_items_are_whole_wherever_what_is_read_ends() -> None:
    dice = random.Random(20261129)
    sizes = [10, ROOM, LARGE, LARGE + 1, 3 * ROOM, 5, AT_ONCE, 2 * AT_ONCE + 7, 1, 0]
    items = [arrived(ref, dice.choice(sizes[:6]) if ref > 20 else sizes[ref % len(sizes)]) for ref in range(60)]
    sent = b"".join(encode(some) for some in (items[:3], items[3:4], *([one] for one in items[4:])))
    got: list[object] = []
    end = Session(OF_LISTENER[INGRESS], ActorSettings(), MetricsRegistry(), lambda *_: None, lambda _: None)
    end.on_item = got.append
    sent, at = encode([Hello(INGRESS, 1)]) + sent, 0
    while at < len(sent):
        room = end.get_buffer(-1)
        part = sent[at : at + min(len(room), dice.choice([1, 3, 5000, 300_000]))]
        room[: len(part)] = part
        del room
        end.buffer_updated(len(part))
        at += len(part)
        await asyncio.sleep(0)
    assert (got, end.reason) == (items, "")


@pytest.mark.parametrize("turns", range(8))
def test_a_dialer_that_is_closed_while_it_connects_waits_for_nothing(tmp_path: Path, turns: int) -> None:
    """uvloop makes the connection, and forgets it untold when whoever awaits it is cancelled."""
    make_folder(tmp_path)

    async def close_after_some_turns() -> None:
        ingress, system = Ingress(tmp_path), System(tmp_path)
        ingress.links.open()
        system.links.open()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await system.links.close()
            await ingress.links.close()

    uvloop.run(close_after_some_turns())


async def test_a_large_item_is_carried_whole(ingress: Ingress, system: System) -> None:
    system.sessions[0].post(Park("k", bytes(20_000_000), (1,)))
    system.sessions[0].post(Ack(1))
    await eventually(lambda: len(ingress.got) == 2, "both came")
    assert ingress.got == [Park("k", bytes(20_000_000), (1,)), Ack(1)]


async def test_an_item_that_cannot_be_sent_or_taken_holds_up_no_other(ingress: Ingress, system: System) -> None:
    def take(item: object) -> None:
        ingress.got.append(item)
        raise ValueError

    ingress.sessions[0].on_item = take
    for item in (Ack(1), Ack(2**70), Ack(2)):
        system.sessions[0].post(item)
    await eventually(lambda: ingress.got == [Ack(1), Ack(2)], "the others came")
    assert system.lost == ingress.lost == 0


async def test_a_turn_of_the_loop_takes_a_bounded_number_of_items(ingress: Ingress, system: System) -> None:
    turns: list[int] = []

    def take(_item: object) -> None:
        turns[-1] += 1

    async def turn() -> None:
        while True:
            turns.append(0)
            await asyncio.sleep(0)

    ingress.sessions[0].on_item = take
    counting = asyncio.create_task(turn())
    await asyncio.sleep(0)
    for ref in range(2000):
        system.sessions[0].post(Ack(ref))
    await eventually(lambda: sum(turns) == 2000, "all came")
    counting.cancel()
    assert max(turns) < 2 * ingress.settings.batch_events


@pytest.mark.parametrize("number", range(3))
def test_the_loop_of_the_services_does_the_same(tmp_path: Path, number: int) -> None:
    async def alike() -> None:
        make_folder(tmp_path)
        ingress, system = Ingress(tmp_path), System(tmp_path)
        ingress.links.open()
        system.links.open()
        await eventually(lambda: system.sessions and ingress.sessions, "they met")
        alikes = (
            test_items_come_in_order_both_ways,
            test_one_who_takes_nothing_stalls_nobody_and_costs_no_encoding,
            test_what_was_sent_before_the_end_is_taken,
        )
        await alikes[number](ingress, system)
        await system.links.close()
        await ingress.links.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(alike())


# --- ends -------------------------------------------------------------------------------------------------------


async def test_who_is_gone_is_missed_at_once_and_dialled_again(ingress: Ingress, system: System) -> None:
    former = system.sessions[0]
    ingress.sessions[0].refuse("a test")
    await eventually(lambda: len(system.sessions) == 2, "they met again")
    assert (system.lost, ingress.lost) == (1, 1)
    former.post(Ack(1))
    ingress.sessions[0].post(arrived(1))
    system.sessions[1].post(Ack(2))
    await eventually(lambda: ingress.got == [Ack(2)], "what was posted to the one that ended is dropped")
    assert system.got == []


async def test_what_was_sent_before_the_end_is_taken(ingress: Ingress, system: System) -> None:
    for ref in range(1000):
        system.sessions[0].post(Ack(ref))
    await system.links.close()
    await eventually(lambda: ingress.lost == 1, "its end is seen")
    assert ingress.got == [Ack(ref) for ref in range(1000)]


async def test_a_listener_that_comes_back_is_found(ingress: Ingress, system: System) -> None:
    await ingress.links.close()
    await eventually(lambda: system.lost == 1, "its end is seen")
    again = Ingress(ingress.data_dir)
    again.links.open()
    await eventually(lambda: len(again.sessions) == 1, "they met")
    await again.links.close()


async def test_a_newer_session_or_life_replaces_and_an_earlier_life_is_refused(
    ingress: Ingress, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialer, "WARY", 60.0)  # the one that is replaced would dial again
    later = System(ingress.data_dir, epoch=2)
    later.links.open()
    await eventually(lambda: later.sessions, "the later life is taken")
    await eventually(lambda: system.lost == 1, "the former session is over")
    assert ingress.lost == 1
    earlier = System(ingress.data_dir, epoch=1)
    earlier.links.open()
    await eventually(lambda: "earlier life" in earlier.links.problem, "it is told why")
    assert earlier.sessions == []
    assert later.lost == 0
    other = System(ingress.data_dir, epoch=1, system_id="other")
    other.links.open()
    await eventually(lambda: other.sessions, "another system's epoch is its own")
    for each in (later, earlier, other):
        await each.links.close()


async def test_one_who_takes_nothing_stalls_nobody_and_costs_no_encoding(ingress: Ingress, system: System) -> None:
    with connect(ingress.data_dir, INGRESS) as frozen:
        frozen.send(encode([Hello(SYSTEM, 1, system_id="frozen")]))
        await eventually(lambda: len(ingress.sessions) == 2, "it is there")
        stuck = ingress.sessions[1]
        for ref in range(500):
            stuck.post(arrived(ref, 10_000))
        await asyncio.sleep(0.05)
        transport = stuck._transport
        assert transport is not None
        assert transport.get_write_buffer_size() < 2 * HIGH_WATER + 1_000_000
        assert stuck.waiting > 300
        ingress.sessions[0].post(arrived(1))
        await eventually(lambda: system.got == [arrived(1)], "the other gets its own")
        frozen.setblocking(True)  # noqa: FBT003 - the socket's
        taken = await asyncio.to_thread(_read, frozen, 500 * 10_000)
        assert taken >= 500 * 10_000
        assert stuck.waiting == 0


async def test_more_than_a_session_holds_ends_it(
    ingress: Ingress, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CAPACITY", 100)
    for ref in range(101):
        ingress.sessions[0].post(arrived(ref))
    await eventually(lambda: ingress.lost == system.lost == 1, "it is over")
    assert CAPACITY > 10_000


# --- what cannot be read ----------------------------------------------------------------------------------------

GREETING = encode([Hello(SYSTEM, 1, system_id="x")])


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x7f\xff\xff\xff",
        (1025).to_bytes(4, "big"),
        encode([Ack(1)]),
        encode([Hello(SYSTEM, 1, VERSION + 1, "x")]),
        encode([Hello(INGRESS, 1)]),
        GREETING + b"\x80\x00\x00\x00",
        GREETING + (200_000_000).to_bytes(4, "big", signed=True),
        GREETING + (LIMIT + 1).to_bytes(4, "big", signed=True),
        GREETING + b"\x00\x00\x00\x03\xff\xff\xff",
        GREETING + encode([Parked("k")]),
        GREETING + encode([]),
        GREETING + GREETING,
    ],
    ids=lambda sent: sent[-24:].hex(),
)
async def test_what_cannot_be_read_ends_its_session_and_no_other(
    ingress: Ingress, system: System, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with connect(ingress.data_dir, INGRESS) as foreign:
            foreign.send(sent)
            foreign.setblocking(True)  # noqa: FBT003 - the socket's
            said = await asyncio.to_thread(_read, foreign, 1 << 20)
            assert said, "it is told why"
    assert ingress.links.problem
    assert sum(each.value for each in ingress.registry.snapshot().samples if "refused" in each.metric) == 3
    system.sessions[0].post(Ack(7))
    await eventually(lambda: ingress.got == [Ack(7)], "the others go on")
    assert system.lost == 0


async def test_a_poisonous_frame_is_met_more_and_more_rarely(ingress: Ingress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "WARY", 0.05)
    monkeypatch.setattr(dialer, "WARIEST", 0.4)
    system = System(ingress.data_dir)

    def met(session: Session) -> None:
        system.sessions.append(session)
        session.post(Parked("ingress takes no such item"))

    system.links._opened = met
    system.links.open()
    await asyncio.sleep(1.5)
    assert 3 <= len(system.sessions) <= 8
    assert "does not decode" in system.links.problem
    assert "does not decode" in ingress.links.problem
    await system.links.close()


async def test_a_greeting_that_does_not_come_is_not_waited_for(
    ingress: Ingress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.links.listener.GREETING_WITHIN", 0.05)
    with connect(ingress.data_dir, INGRESS) as silent:
        silent.setblocking(True)  # noqa: FBT003 - the socket's
        assert await asyncio.to_thread(_read, silent, 1 << 20)


async def test_another_users_process_is_closed_before_anything_of_it_is_read(
    ingress: Ingress, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreign(connected: socket.socket) -> None:
        monkeypatch.setattr("maestro.links.folder.os.geteuid", lambda: 4711)
        try:
            check_peer(connected)
        finally:
            monkeypatch.undo()

    monkeypatch.setattr("maestro.links.listener.check_peer", foreign)
    with connect(ingress.data_dir, INGRESS) as theirs:
        theirs.send(GREETING)
        await eventually(lambda: "tried to connect" in ingress.links.problem, "it is named")
        theirs.setblocking(True)  # noqa: FBT003 - the socket's
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(_read, theirs, 1)
    assert len(ingress.sessions) == 1


def _read(connected: socket.socket, most: int) -> int:
    """Read until that much came, or the end; return how much."""
    taken = 0
    connected.settimeout(10)
    while taken < most and (data := connected.recv(1 << 20)):
        taken += len(data)
    return taken
