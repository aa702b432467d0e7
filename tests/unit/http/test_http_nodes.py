"""The nodes of a cluster as the gateway tells of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from maestro.cluster.node import Node
from maestro.http.app import create_app
from maestro.http.server import serve_http
from maestro.http.shapes.nodes import NodesShape
from maestro.messages.answers import Answer, Code
from maestro.messages.questions import DescribeSystem
from tests.support.cluster_view import FakeClusterView
from tests.unit.http.authentication_kit import house
from tests.unit.http.conftest import SETTINGS, Client
from tests.unit.http.fake_actor_client import FakeActorClient

NODES = "/v1.0.0/nodes"
NORTH = Node("north", 3, 17, "http://n:1", 2.0, holds_events=True, version="1.0", settings_digest="x", joined=1)
SOUTH = Node(
    "south", 1, 9, "http://s:1", draining=True, version="1.0", settings_digest="x", joined=2,
    waits_for=(("sysA", "silent"), ("sysX", "in_run")),
)  # fmt: skip
WEST = Node("west", 2, 0, "http://w:1", version="0.9", joined=3)


@pytest.fixture
def view() -> FakeClusterView:
    return FakeClusterView((NORTH, SOUTH, WEST), {"sysA": "north", "sysB": "west"})


@pytest.fixture
async def member(actor_client: FakeActorClient, view: FakeClusterView) -> AsyncIterator[Client]:
    async with serve_http(create_app(actor_client, SETTINGS, cluster=view), SETTINGS) as address:
        yield Client(address)


async def test_without_a_cluster_there_are_none_which_is_said(client: Client) -> None:
    alone = {"cluster": "", "says": "this Maestro is no node of a cluster", "node": "", "nodes": [], "unowned": []}
    assert (await client.get(NODES)).json == alone
    said = (await client.call("GET", NODES, Accept_Language="pt")).json["says"]
    assert said == "este Maestro não é um nó de um cluster"


async def test_who_lives_what_each_owns_and_who_claims(member: Client) -> None:
    answer = await member.get(NODES)
    told = msgspec.json.decode(answer.body, type=NodesShape)
    assert (told.cluster, told.says, told.node, told.unowned) == ("grid", "", "north", ["sysB"])
    assert answer.json["nodes"] == [
        {"name": "north", "url": "http://n:1", "version": "1.0", "capacity": 2.0, "holdsLease": True,
         "draining": False, "systems": 1, "claims": True, "whyNot": None, "holdsEvents": True,
         "waitsFor": []},
        {"name": "south", "url": "http://s:1", "version": "1.0", "capacity": 1.0, "holdsLease": True,
         "draining": True, "systems": 0, "claims": False, "whyNot": "drains", "holdsEvents": False,
         "waitsFor": [{"system": "sysA", "why": "silent"}]},
        {"name": "west", "url": "http://w:1", "version": "0.9", "capacity": 1.0, "holdsLease": False,
         "draining": False, "systems": 0, "claims": False, "whyNot": "no_lease", "holdsEvents": False,
         "waitsFor": []},
    ]  # fmt: skip


async def test_what_may_be_old_says_so(member: Client, view: FakeClusterView) -> None:
    view.problem = "PostgreSQL: no answer within 5 s"
    said = (await member.get(NODES)).json["says"]
    assert said == "this may be old, the tables of the cluster are out of reach: PostgreSQL: no answer within 5 s"


async def test_a_system_names_the_node_that_owns_it(member: Client, actor_client: FakeActorClient) -> None:
    actor_client.answers[DescribeSystem] = lambda system, _: Answer(Code.OK, b'{"id":"%s"}' % system.encode())
    actor_client.known.add("sysC")
    assert (await member.get("/v1.0.0/systems/sysA")).json == {"id": "sysA", "node": "north"}
    assert (await member.get("/v1.0.0/systems/sysC")).json == {"id": "sysC"}
    listed = (await member.get("/v1.0.0/systems")).json
    assert listed == [{"id": "sysA", "node": "north"}, {"id": "sysB", "node": "west"}, {"id": "sysC"}]


async def test_the_console_learns_that_there_is_a_cluster(member: Client) -> None:
    assert (await member.get("/console/config.json")).json["cluster"] is True


async def test_who_may_touch_some_systems_is_told_of_these(tmp_path: Path, view: FakeClusterView) -> None:
    view.owned["sysB"] = ""
    async with house(tmp_path, cluster=view) as at:
        everything = (await at.call("ana", "GET", NODES)).json
        some = (await at.call("restricted", "GET", NODES)).json
    assert ([one["systems"] for one in everything["nodes"]], everything["unowned"]) == ([1, 0, 0], ["sysB"])
    assert ([one["systems"] for one in some["nodes"]], some["unowned"]) == ([0, 0, 0], ["sysB"])
