"""What the client of the actors says of the actors before it knows them, and once it does."""

import asyncio
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


async def test_a_release_is_done_by_the_word_of_the_actor_system_at_hand(tmp_path: Path) -> None:
    """One that is being met has been asked to install the system perhaps, and has said nothing yet."""
    client = EndpointClient(Settings(data_dir=tmp_path))
    client.attach(cast("Endpoint", object()), "supervisor", RUN)
    system = Entry(Role.SYSTEM, "a", "a 1", 1, 1, "running", "")
    client.receive(Directory(RUN, 1, (running(Role.INGRESS, 1), system)))
    assert client.knows("a")
    client.attach(cast("Endpoint", object()), "supervisor", "another run")
    released = asyncio.create_task(client.release("a"))
    await asyncio.sleep(0)
    client.receive(Directory("another run", 1, (system,)))
    await asyncio.sleep(0)
    assert not released.done()
    assert not client.knows("a"), "it is not wanted again for having been installed before"
    client.receive(Directory("another run", 2, (Entry(Role.SYSTEM, "a", None, 1, 1, "released"),), released=("a",)))
    await asyncio.wait_for(released, 1)
    assert not client.knows("a")


async def test_a_release_is_done_by_an_answer_to_it(tmp_path: Path) -> None:
    """The supervisor was asked to install the system a moment ago, and its answer is on its way."""
    client = EndpointClient(Settings(data_dir=tmp_path))
    client.attach(cast("Endpoint", object()), "supervisor", RUN)
    client.receive(Directory(RUN, 1, (running(Role.INGRESS, 1),)))
    installed = asyncio.create_task(client.install("a"))
    await asyncio.sleep(0)
    released = asyncio.create_task(client.release("a"))
    await asyncio.sleep(0)
    assert not released.done()
    client.receive(Directory(RUN, 2, (Entry(Role.SYSTEM, "a", None, 1, 1, "starting"),)))
    await asyncio.sleep(0)
    assert not released.done()
    assert not client.knows("a")
    client.receive(Directory(RUN, 3, (Entry(Role.SYSTEM, "a", None, 1, 1, "released"),), released=("a",)))
    await asyncio.wait_for(released, 1)
    assert not client.knows("a")
    again = asyncio.create_task(client.release("a"))
    await asyncio.sleep(0)
    assert not again.done(), "it may have been installed again meanwhile"
    client.receive(Directory(RUN, 3, (), released=("a",)))
    await asyncio.wait_for(again, 1)
    installed.cancel()
