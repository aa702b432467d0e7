"""What the bridge says of the actors before it knows them, and once it does."""

from typing import cast

from maestro.actors.bridge import ActorBridge
from maestro.actors.endpoint import Endpoint
from maestro.actors.messages import Directory, Entry, Role
from maestro.settings import ActorSettings

RUN = "run"


def running(role: Role, epoch: int, problem: str = "") -> Entry:
    return Entry(role, "", f"{role} {epoch}", epoch, epoch, "running", problem)


async def test_it_is_not_ready_before_ingress_and_cascade_are_known() -> None:
    bridge = ActorBridge(ActorSettings())
    assert await bridge.readiness() == {"actors": "they are being started"}
    bridge.attach(cast("Endpoint", object()), "supervisor", RUN)
    assert await bridge.readiness() == {"ingress": "is absent", "cascade": "is absent"}
    bridge.receive(Directory(RUN, 1, (running(Role.INGRESS, 1, "broker: refused"),)))
    assert await bridge.readiness() == {"ingress": "broker: refused", "cascade": "is absent"}
    bridge.receive(Directory(RUN, 2, (running(Role.INGRESS, 1), running(Role.CASCADE, 2))))
    assert await bridge.readiness() == {}


async def test_it_is_not_ready_while_another_actor_system_is_being_met() -> None:
    bridge = ActorBridge(ActorSettings())
    bridge.attach(cast("Endpoint", object()), "supervisor", RUN)
    bridge.receive(Directory(RUN, 1, (running(Role.INGRESS, 1), running(Role.CASCADE, 2))))
    bridge.attach(cast("Endpoint", object()), "supervisor", "another run")
    assert await bridge.readiness() == {"ingress": "is absent", "cascade": "is absent"}
