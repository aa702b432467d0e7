"""What the doctor says of queues that exist otherwise than the contract has them, and of who owns the events."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from maestro.broker.base import Depth
from maestro.broker.topology import OWNER
from maestro.doctor import broker, gateway
from maestro.doctor.finding import Level
from maestro.settings.servers import BrokerSettings
from maestro.store.installation import begin_start, write_installation

QUORUM = "inequivalent arg 'x-queue-type' for queue 'q': received none but current is the value 'quorum'"


@pytest.mark.parametrize(("limited", "text"), [(True, "handed back 20 times"), (False, "exists with other arguments")])
async def test_a_quorum_queue_of_a_server_that_drops_is_named(
    monkeypatch: pytest.MonkeyPatch,
    *,
    limited: bool,
    text: str,
) -> None:
    monkeypatch.setattr(broker, "_different", lambda *_: ({"q": QUORUM}, limited))
    (found,) = await broker._arguments(BrokerSettings(kind="rabbitmq"), {"q": Depth(0, 1)})
    assert text in found.message
    assert ("delivery-limit" in found.mend) == limited


class Broker:
    def __init__(self, depth: Depth | None) -> None:
        self._depth = depth

    async def depth(self, queue: str) -> Depth | None:
        assert queue == OWNER
        return self._depth


class Site:
    def __init__(self, folder: Path) -> None:
        self.settings = type("Settings", (), {"data_dir": folder})()


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        (None, "does not exist"),
        (Depth(0, 1), "not this data folder's"),
        (Depth(1, 0), "an owner that is not connected"),
        (Depth(0, 0), "names nobody"),
    ],
)
async def test_whose_the_events_are(tmp_path: Path, depth: Depth | None, text: str) -> None:
    site: Any = Site(tmp_path)
    finding = await broker._owner(site, Broker(depth))  # type: ignore[arg-type]
    assert text in finding.message


async def test_an_installation_that_is_not_the_owner_is_told_what_to_do(tmp_path: Path) -> None:
    site: Any = Site(tmp_path)
    begun = begin_start(tmp_path)
    write_installation(tmp_path, msgspec.structs.replace(begun, owner=True))
    assert (await broker._owner(site, Broker(Depth(0, 1)))).message.endswith("are this data folder's")  # type: ignore[arg-type]
    write_installation(tmp_path, msgspec.structs.replace(begun, foreign="they belong to another Maestro"))
    finding = await broker._owner(site, Broker(Depth(0, 1)))  # type: ignore[arg-type]
    assert finding.level is Level.PROBLEM
    assert "maestro adopt" in finding.mend


@pytest.mark.parametrize(
    ("why", "mend"),
    [
        (
            "RabbitMQ refused the vhost: it does not exist or the user may not use it (…)",
            "add_vhost plataforma_v1.0; rabbitmqctl set_permissions -p plataforma_v1.0 'a user' '.*' '.*' '.*'",
        ),
        ("RabbitMQ refused the user name or password", "RABBITMQ_PASSWORD"),
        (
            "out of RabbitMQ's reach for now: NOT_FOUND - home node 'rabbit@x' of queue 'q' in vhost '/' is down",
            "rabbitmqctl cluster_status",
        ),
        ("RabbitMQ is not reachable: Connection refused", "systemctl start rabbitmq-server"),
    ],
)
def test_each_reason_has_its_own_mend(why: str, mend: str) -> None:
    url = SecretStr("amqp://a%20user:secret@mq:5672/plataforma_v1.0,amqp://b@mq2/other")
    said = broker.broker_mend(BrokerSettings(kind="rabbitmq", url=url), why)
    assert mend in said
    assert "secret" not in said


def test_events_of_another_maestro_are_no_fault_of_the_broker(tmp_path: Path) -> None:
    why = "broker: the events of this vhost belong to another Maestro, whose data folder has the id x"
    assert "maestro adopt" in gateway._mend(Site(tmp_path), "system sysA", why)  # type: ignore[arg-type]
