"""The parts of the lean transport: the poll set of idle sockets, and the buffer that reads no byte too many."""

import pickle
import socket
from types import SimpleNamespace

import pytest
from thespian.system.transport import streamBuffer

from maestro.actors.transport import IdleSockets, WholeAckBuffer


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
