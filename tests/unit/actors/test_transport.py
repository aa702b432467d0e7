"""The lean transport, and its parts: the poll set of idle sockets, and the buffer that reads no byte too many."""

import pickle
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from thespian.system.transport import TCPTransport, TransmitIntent, TransmitOnly, streamBuffer
from thespian.system.transport.TCPTransport import ExternalTransportCopy

from maestro.actors.endpoint import address_of
from maestro.actors.sockets import IdleSockets, WholeAckBuffer
from maestro.actors.transport import LeanTransport
from maestro.actors.unix_sockets import ADMIN_PORT, make_ports, sockets, use_ports

TURN = timedelta(seconds=0.2)


@pytest.fixture
def pair():  # noqa: ANN201 - two connected sockets
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def ready(idles: IdleSockets) -> list[int]:
    return [fd for fd, _ in idles.poll.poll(0)]


def test_a_socket_is_watched_while_it_is_idle(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    idles = IdleSockets()
    idles["them"] = SimpleNamespace(socket=ours)
    assert ready(idles) == []
    theirs.send(b"x")
    assert ready(idles) == [ours.fileno()]
    assert idles.by_fd[ours.fileno()] is idles["them"]
    del idles["them"]
    assert ready(idles) == []
    assert idles.by_fd == {}


def test_a_socket_takes_the_place_of_one_that_was_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    closed = socket.socket()
    idles = IdleSockets()
    idles["them"] = SimpleNamespace(socket=closed)
    closed.close()
    idles["them"] = SimpleNamespace(socket=ours)
    theirs.send(b"x")
    assert ready(idles) == [ours.fileno()]
    assert idles.pop("them").socket is ours
    assert idles.pop("them", None) is None
    assert ready(idles) == []


@pytest.mark.parametrize("message", [streamBuffer.ackPacket, "a longer message " * 40])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_a_message_is_read_to_its_last_byte_and_not_beyond(message: str, most: int) -> None:
    stream = streamBuffer.toSendBuffer(message) + b"the next"
    buffer = WholeAckBuffer(pickle.loads)
    reads = 0
    while not buffer.isDone():
        amount = min(most, buffer.remainingAmount())
        buffer.addMore(stream[:amount])
        stream = stream[amount:]
        reads += 1
    assert buffer.completed() == (message, b"")
    assert stream == b"the next"
    assert most < 1000 or reads <= (1 if message == streamBuffer.ackPacket else 2)


class Mailbox:
    """One of two transports that send to each other, all on the test's thread."""

    def __init__(self) -> None:
        self.transport = LeanTransport(ExternalTransportCopy(), address_of(ADMIN_PORT), False, False)  # noqa: FBT003
        self.became: list[Any] = []

    @property
    def address(self) -> Any:
        return self.transport.myAddress

    def send(self, to: "Mailbox", message: object) -> None:
        def note(status: Any, _intent: Any) -> None:
            self.became.append(status)

        self.transport.scheduleTransmit(None, TransmitIntent(to.address, message, note, note))

    def flush(self) -> None:
        self.transport.run(TransmitOnly, TURN)

    def receive(self, count: int) -> list[Any]:
        got: list[Any] = []

        def take(envelope: Any) -> bool:
            got.append(envelope.message)
            return len(got) < count

        self.transport.run(take, TURN)
        return got

    def close(self) -> None:
        transport = self.transport
        busy = (*transport._incomingSockets.values(), *transport._transmitIntents.values())
        for each in (transport.socket, *(one.socket for one in (*busy, *transport._openSockets.values()))):
            each.close()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Mailbox, Mailbox]]:
    make_ports(tmp_path)
    use_ports(tmp_path)
    monkeypatch.setattr(TCPTransport, "socket", sockets())
    monkeypatch.setattr(TCPTransport, "ReceiveBuffer", WholeAckBuffer)
    here, there = Mailbox(), Mailbox()
    yield here, there
    here.close()
    there.close()


def test_each_message_is_acknowledged(ends: tuple[Mailbox, Mailbox]) -> None:
    here, there = ends
    sent = ["a question", "x" * 100_000]
    for number, message in enumerate(sent, 1):
        here.send(there, message)
        here.flush()
        assert there.receive(1) == [message]
        here.flush()
        assert len(here.became) == number
    here.send(there, "a third")
    here.flush()
    assert len(here.became) == len(sent), "it is not acknowledged yet"
