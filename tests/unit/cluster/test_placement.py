from collections import Counter
from dataclasses import replace

from maestro.cluster.node import Node
from maestro.cluster.placement import Unfit, claimers, order, unfit

SYSTEMS = [f"system-{number}" for number in range(6000)]


def nodes(*names: str) -> list[Node]:
    return [Node(name, 1, beat=5, joined=number) for number, name in enumerate(names)]


def names(found: tuple[Node, ...]) -> list[str]:
    return [node.name for node in found]


def test_systems_are_shared_by_capacity() -> None:
    a, b, c = nodes("a", "b", "c")
    share = Counter(order(system, [a, replace(b, capacity=2.0), c])[0] for system in SYSTEMS)
    assert 0.22 < share["a"] / len(SYSTEMS) < 0.28
    assert 0.47 < share["b"] / len(SYSTEMS) < 0.53


def test_a_node_that_goes_moves_only_what_was_its_own() -> None:
    three = nodes("a", "b", "c")
    for system in SYSTEMS[:500]:
        first, second, _ = order(system, three)
        left = order(system, [node for node in three if node.name != "b"])
        assert left[0] == (second if first == "b" else first)


def test_the_order_of_the_list_does_not_matter() -> None:
    three = nodes("a", "b", "c")
    assert all(order(system, three) == order(system, three[::-1]) for system in SYSTEMS[:100])


def test_only_nodes_with_a_lease_that_are_not_draining_claim() -> None:
    a, b, c = nodes("a", "b", "c")
    assert names(claimers([c, replace(a, beat=0), replace(b, draining=True)])) == ["c"]
    assert names(claimers([replace(a, capacity=0.0), b])) == ["b"]
    assert claimers([]) == ()


def test_a_node_with_an_older_schema_claims_nothing() -> None:
    a, b, c = nodes("a", "b", "c")
    assert names(claimers([replace(a, schema=3), replace(b, schema=2), replace(c, schema=3)])) == ["a", "c"]


def test_settings_of_most_nodes_count_and_of_two_the_later() -> None:
    a, b, c = (replace(node, settings_digest=digest) for node, digest in zip(nodes("a", "b", "c"), "xxy", strict=True))
    assert names(claimers([a, b, c])) == ["a", "b"]
    assert names(claimers([a, c])) == ["c"], "it joined last: settings are being rolled out"
    assert names(claimers([a, replace(b, draining=True), c])) == ["c"]


def test_what_keeps_each_node_from_claiming() -> None:
    a, b, c, d, e, f = (replace(node, schema=3, settings_digest="x") for node in nodes("a", "b", "c", "d", "e", "f"))
    others = [replace(a, beat=0), replace(b, draining=True), replace(c, capacity=0.0), replace(d, schema=2)]
    found = unfit([*others, replace(e, settings_digest="y"), f, replace(f, name="g")])
    assert found == {
        "a": Unfit.NO_LEASE, "b": Unfit.DRAINS, "c": Unfit.NO_CAPACITY, "d": Unfit.OLDER_SCHEMA,
        "e": Unfit.OTHER_SETTINGS,
    }  # fmt: skip
    assert unfit([]) == {}
