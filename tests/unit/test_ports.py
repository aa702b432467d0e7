"""Ports for listeners that another process opens."""

import socket
from itertools import pairwise

import pytest

from maestro import ports
from maestro.ports import LOOPBACK, PORTS, free_port, free_ports, is_free


def test_a_port_that_is_listened_on_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_they_differ_and_are_of_the_range() -> None:
    found = sorted(free_ports(50))
    assert all(one < other for one, other in pairwise(found))
    assert set(found) <= set(PORTS)


def test_when_none_is_free_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ports, "PORTS", range(port, port + 1))
        with pytest.raises(OSError, match="are free"):
            free_port()
