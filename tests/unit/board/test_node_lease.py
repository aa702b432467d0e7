"""The node's lease: until when it is believed, who holds the owner message, which systems are this node's."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from maestro.board.lease import Standing, make_lease
from maestro.board.node_lease import NodeLeaseHolder, NodeView, boot_time
from maestro.board.owner_view import OwnerView
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings, ClusterSettings, StoreSettings


@pytest.fixture
def node(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        cluster=ClusterSettings(name="grid"),
        broker=BrokerSettings(url=SecretStr("amqp://u:p@127.0.0.1/v")),
        store=StoreSettings(url=SecretStr("postgresql://u:p@127.0.0.1/d")),
    )


def test_without_a_cluster_everything_is_believed(tmp_path: Path) -> None:
    view = NodeView(Settings(data_dir=tmp_path))
    assert (view.alone, view.believed, view.refusal, view.owned(), view.events_held) == (True, True, "", None, False)


def test_it_is_believed_until_then_and_not_before_it_was_said(node: Settings) -> None:
    view = NodeView(node)
    assert not view.believed  # there is no lease
    holder = NodeLeaseHolder(node.data_dir)
    assert not view.believed
    holder.believe(boot_time() + 60)
    assert view.believed
    assert view.refusal == ""
    holder.believe(boot_time() - 0.001)
    assert not view.believed
    assert "not believed" in view.refusal
    holder.believe(float("-inf"))
    assert holder.believed_until == 0
    view.close()
    holder.close()


def test_a_new_start_is_not_believed_by_an_old_lease(node: Settings) -> None:
    old = NodeLeaseHolder(node.data_dir)
    old.believe(boot_time() + 60)
    before = NodeView(node)
    assert before.believed
    NodeLeaseHolder(node.data_dir)
    assert not NodeView(node).believed


def test_the_systems_are_read_again_when_they_change(node: Settings) -> None:
    view, holder = NodeView(node), NodeLeaseHolder(node.data_dir)
    assert view.owned() == frozenset()
    holder.own(["b", "a"])
    first = view.owned()
    assert first == {"a", "b"}
    assert view.owned() is first
    holder.own([])
    assert view.owned() == frozenset()


def test_effects_need_the_lease_and_a_node_that_holds_the_events(node: Settings) -> None:
    make_lease(node.data_dir, Standing.SHARED)
    holder, view = NodeLeaseHolder(node.data_dir), OwnerView(node)
    holder.believe(boot_time() + 60)
    assert view.refusal == ""
    assert not view.acts  # no node holds the owner message
    holder.others_hold_events(boot_time() + 60)
    assert view.acts
    holder.believe(boot_time() - 1)
    assert not view.acts
    assert view.unbelieved
    assert view.refusal == view.unbelieved
    assert view.foreign == ""
    view.close()


def test_nothing_is_done_while_it_is_not_known_whose_the_events_are(node: Settings) -> None:
    holder, view = NodeLeaseHolder(node.data_dir), OwnerView(node)
    holder.believe(boot_time() + 60)
    holder.others_hold_events(boot_time() + 60)
    assert not view.acts
    assert "no lease" in view.refusal
    make_lease(node.data_dir, Standing.AWAY)
    assert not view.acts
    view.close()
