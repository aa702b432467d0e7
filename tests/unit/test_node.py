"""What a node tells its gateway of the cluster."""

from typing import cast

from maestro.cluster.node import Node
from maestro.gateways.owners import Owners
from maestro.keeper import Keeper
from maestro.node import View, urls_of
from tests.unit.http.fake_actor_client import FakeActorClient


def test_of_its_own_systems_a_node_knows_before_the_store_is_read_again() -> None:
    owners = Owners()
    owners.see({"sysA": "south", "sysB": "south", "sysC": ""})
    view = View("grid", "north", cast("Keeper", None), owners, FakeActorClient("sysA"))
    asked = ("sysA", "sysB", "sysC", "sysD")
    assert view.owners(asked) == {"sysA": "north", "sysB": "south", "sysC": "", "sysD": ""}


def test_a_node_without_a_lease_is_not_asked() -> None:
    nodes = [Node("north", beat=3, url="http://n"), Node("gone", beat=0, url="http://g")]
    assert urls_of(nodes) == {"north": "http://n"}
