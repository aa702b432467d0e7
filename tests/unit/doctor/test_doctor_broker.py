"""What the doctor says of queues that exist otherwise than the contract has them, and of who owns the events."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from maestro.broker.base import Depth
from maestro.broker.topology import OWNER
from maestro.client.api import Maestro
from maestro.client.target import Target
from maestro.doctor import broker, gateway
from maestro.doctor import site as doctor_site
from maestro.doctor.finding import Level
from maestro.doctor.stores import check_stores
from maestro.settings.model import PlatformSettings, Settings
from maestro.settings.servers import BrokerSettings, StoreSettings
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
    record = None

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
    url = SecretStr("amqp://a%20user:secret@mq:5672/plataforma_v1.0 amqp://b:hunter2@mq2/plataforma_v1.0")
    said = broker.broker_mend(BrokerSettings(kind="rabbitmq", url=url), why)
    assert mend in said
    assert "secret" not in said
    assert "hunter2" not in said


NODES = SecretStr("amqp://ana:hunter2@mq1/v amqp://ana:hunter2@mq2/v\tamqps://ana:hunter2@mq3:5671/v")


@pytest.mark.parametrize("why", ["RabbitMQ is not reachable: Connection refused", "RabbitMQ refused the vhost: no", ""])
def test_the_password_of_no_node_is_told(tmp_path: Path, why: str) -> None:
    settings = Settings(data_dir=tmp_path, broker=BrokerSettings(kind="rabbitmq", url=NODES))
    site: Any = Site(tmp_path)
    site.settings = settings
    said = [broker.broker_mend(settings.broker, why), broker.where(settings), gateway._mend(site, "system a", why)]
    assert "hunter2" not in " ".join(said)
    assert said[1] == "mq1:5672,mq2:5672,mq3:5671/v"


async def test_no_finding_has_the_password(tmp_path: Path) -> None:
    nodes = " ".join(f"amqp://ana:hunter2@127.0.0.1:{port}/v" for port in (9, 10))
    stores = StoreSettings(url=SecretStr("postgresql://ana:hunter2@127.0.0.1:9/m?password=hunter2"), timeout=1)
    broker_ = BrokerSettings(kind="rabbitmq", url=SecretStr(nodes))
    settings = Settings(data_dir=tmp_path, broker=broker_, store=stores, platform=PlatformSettings())
    problem = "RabbitMQ refused the vhost: no"
    site = doctor_site.Site(settings, Maestro(Target("http://127.0.0.1:9")), None, not_ready={"system sysA": problem})
    found = [*await broker.check_broker(site), *await check_stores(site), *await gateway.check_gateway(site)]
    assert len({one.check for one in found if one.level is Level.PROBLEM}) == 3
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "why",
    [
        "broker: RabbitMQ is not reachable: Connection refused; whose the events of this vhost are is not known yet",
        "broker: whose the events of this vhost are is not known: the data folder has no lease",
    ],
)
def test_a_broker_that_is_down_is_started_whatever_its_systems_say_of_the_vhost(tmp_path: Path, why: str) -> None:
    site: Any = Site(tmp_path)
    site.settings.broker = BrokerSettings(kind="rabbitmq", url=NODES)
    assert gateway._mend(site, "system sysA", why) == broker.broker_mend(site.settings.broker, "Connection refused")
    assert "add_vhost v;" in gateway._mend(site, "system sysA", "broker: RabbitMQ refused the vhost: no")


def test_events_of_another_maestro_are_no_fault_of_the_broker(tmp_path: Path) -> None:
    for why in (
        "broker: the events of this vhost belong to another Maestro, whose data folder has the id x",
        "broker: the events of this vhost belong to the cluster x; to take them over: stop all of its nodes",
        "broker: another Maestro is connected to this vhost and owns its events: it holds maestro.owner",
    ):
        assert "maestro adopt" in gateway._mend(Site(tmp_path), "system sysA", why)  # type: ignore[arg-type]
