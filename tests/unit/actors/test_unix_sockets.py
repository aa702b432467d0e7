"""Sockets of the Unix domain that look like TCP ones to thespian."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.actors import unix_sockets
from maestro.actors.unix_sockets import PortSocket, make_ports, sockets, use_ports
from maestro.ports import LOOPBACK


@pytest.fixture(autouse=True)
def lives(tmp_path: Path) -> Iterator[Path]:
    make_ports(tmp_path)
    use_ports(tmp_path)
    yield tmp_path / "lives"
    os.close(unix_sockets._folder)
    unix_sockets._folder = -1


@pytest.fixture
def listening() -> Iterator[PortSocket]:
    with PortSocket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind((LOOPBACK, 0))
        made.listen(1)
        yield made


def connected(address: Any) -> PortSocket:
    made = PortSocket()
    made.settimeout(0)
    try:
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def test_who_binds_to_no_port_gets_a_free_one_and_is_reached_by_it(lives: Path, listening: PortSocket) -> None:
    host, port = listening.getsockname()
    assert (lives / str(port)).is_socket()
    with connected((host, port)) as caller:
        accepted, _ = listening.accept()
        with accepted:
            caller.send(b"x")
            assert accepted.recv(9) == b"x"


def test_a_port_that_is_taken_is_not_given_again_and_comes_back_at_the_end(lives: Path) -> None:
    with PortSocket() as first, PortSocket() as second:
        first.bind((LOOPBACK, 7))
        with pytest.raises(OSError, match="in use"):
            second.bind((LOOPBACK, 7))
    assert [*lives.iterdir()] == []


def test_nobody_listens(lives: Path) -> None:
    with pytest.raises(ConnectionRefusedError):
        connected((LOOPBACK, 9))
    with PortSocket() as dead:
        dead.bind((LOOPBACK, 9))
        with pytest.raises(ConnectionRefusedError):
            connected((LOOPBACK, 9))


def test_one_that_accepts_nobody_refuses_rather_than_pretends(listening: PortSocket) -> None:
    callers = [connected(listening.getsockname()) for _ in range(2)]
    with pytest.raises(ConnectionRefusedError):
        connected(listening.getsockname())
    for each in callers:
        each.close()


def test_a_forked_process_that_closes_its_copy_leaves_the_port(lives: Path, listening: PortSocket) -> None:
    pid = os.fork()
    if not pid:
        listening.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert len([*lives.iterdir()]) == 1
    connected(listening.getsockname()).close()


def test_what_an_earlier_run_left_is_cleared_away(tmp_path: Path, lives: Path) -> None:
    left = PortSocket()
    left.bind((LOOPBACK, 1))
    make_ports(tmp_path)
    assert [*lives.iterdir()] == []
    with PortSocket() as anew:
        anew.bind((LOOPBACK, 1))
    left.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_can_neither_connect_nor_take_a_port(lives: Path, listening: PortSocket) -> None:
    """With the descriptor in hand, even; without it the folder is not to be entered at all."""
    _, port = listening.getsockname()
    pid = os.fork()
    if not pid:
        os.setresuid(65534, 65534, 65534)
        attempts = 0
        for path in (f"/proc/self/fd/{unix_sockets._folder}/{port}", str(lives / str(port))):
            with socket.socket(socket.AF_UNIX) as intruder:
                try:
                    intruder.connect(path)
                except PermissionError:
                    attempts += 1
            with socket.socket(socket.AF_UNIX) as squatter:
                try:
                    squatter.bind(path + "0")
                except PermissionError:
                    attempts += 1
        os._exit(attempts)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 4


def test_the_rest_of_the_module_is_as_it_was() -> None:
    module = sockets()
    assert module.socket is PortSocket
    assert module.SHUT_RDWR is socket.SHUT_RDWR
