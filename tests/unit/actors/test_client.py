"""What the client of the actors says of the actors before it knows them, and once it does."""

from pathlib import Path
from typing import cast

from maestro.actors.client import EndpointClient
from maestro.actors.endpoint import Endpoint
from maestro.actors.messages import Directory, Entry, Role
from maestro.settings.model import Settings

RUN = "run"


def running(role: Role, epoch: int, problem: str = "") -> Entry:
    return Entry(role, "", f"{role} {epoch}", epoch, epoch, "running", problem)


async def test_it_is_not_ready_before_ingress_and_cascade_are_known(tmp_path: Path) -> None:
    client = EndpointClient(Settings(data_dir=tmp_path))
    assert await client.readiness() == {"actors": "they are being started"}
    client.attach(cast("Endpoint", object()), "supervisor", RUN)
    assert await client.readiness() == {"ingress": "is absent", "cascade": "is absent"}
    client.receive(Directory(RUN, 1, (running(Role.INGRESS, 1, "broker: refused"),)))
    assert await client.readiness() == {"ingress": "broker: refused", "cascade": "is absent"}
    client.receive(Directory(RUN, 2, (running(Role.INGRESS, 1), running(Role.CASCADE, 2))))
    assert await client.readiness() == {}


async def test_it_is_not_ready_while_another_actor_system_is_being_met(tmp_path: Path) -> None:
    client = EndpointClient(Settings(data_dir=tmp_path))
    client.attach(cast("Endpoint", object()), "supervisor", RUN)
    client.receive(Directory(RUN, 1, (running(Role.INGRESS, 1), running(Role.CASCADE, 2))))
    client.attach(cast("Endpoint", object()), "supervisor", "another run")
    assert await client.readiness() == {"ingress": "is absent", "cascade": "is absent"}
