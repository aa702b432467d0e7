"""Classic mistakes of leases and fences, planted one at a time: the simulation must find each of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from maestro.cluster import facts
from maestro.cluster.commands import EndEverything
from maestro.cluster.lease import Terms
from maestro.cluster.membership import Membership
from maestro.cluster.node import Lease, Node
from maestro.store.nodes import MemoryNodes, OwnedSystem
from tests.simulation.cluster.database import Database, Standing, Stored, Write
from tests.simulation.cluster.machine import Machine
from tests.simulation.cluster.process import Process

Plant = pytest.MonkeyPatch


def renew_after_the_lease_was_broken(plant: Plant) -> None:
    """A beat renews the node's row, whatever incarnation it has by now."""

    async def beat(nodes: MemoryNodes, lease: Lease, number: int, *, holds_events: bool = False) -> bool:
        nodes.nodes[lease.node] = replace(nodes.nodes[lease.node], beat=number, holds_events=holds_events)
        return True

    plant.setattr(MemoryNodes, "beat", beat)


def go_on_after_a_refused_beat(plant: Plant) -> None:
    """A node that learns that its lease is broken joins again, and ends nothing."""
    carry_out = Machine._carry_out

    def keep_everything(machine: Machine, command: Any) -> None:
        if isinstance(command, EndEverything):
            machine.later(0.0, lambda: machine._tell(facts.Ended()))
        else:
            carry_out(machine, command)

    plant.setattr(Machine, "_carry_out", keep_everything)


def break_a_lease_without_waiting_it_out(plant: Plant) -> None:
    plant.setattr(Terms, "broken_after", property(lambda terms: 2 * terms.beat_every))


def break_a_lease_that_has_beaten_since(plant: Plant) -> None:
    break_lease = MemoryNodes.break_lease

    async def break_it_all_the_same(nodes: MemoryNodes, lease: Lease, beat: int) -> bool:
        return await break_lease(nodes, lease, nodes.nodes[lease.node].beat)

    plant.setattr(MemoryNodes, "break_lease", break_it_all_the_same)


def allow_for_no_drift(plant: Plant) -> None:
    plant.setattr(Terms, "believed", property(lambda terms: terms.seconds))
    plant.setattr(Terms, "broken_after", property(lambda terms: terms.seconds))


def read_the_clock_after_the_answer(plant: Plant) -> None:
    take = Membership._take

    def take_it(membership: Membership, fact: facts.Fact, at: float) -> None:
        if isinstance(fact, facts.BeatAnswered):
            fact = facts.BeatAnswered(replace(fact.question, sent=at))
        take(membership, fact, at)

    plant.setattr(Membership, "_take", take_it)


def believe_a_lease_for_ever(plant: Plant) -> None:
    plant.setattr(Machine, "believes", property(lambda machine: machine._until > 0.0))


def fence_nothing(plant: Plant) -> None:
    def guard(database: Database, stands: Standing, owner: Standing) -> bool:
        return True

    plant.setattr(Database, "guard", guard)


def fence_by_number_only(plant: Plant) -> None:
    def guard(database: Database, stands: Standing, owner: Standing) -> bool:
        return stands.number == owner.number

    plant.setattr(Database, "guard", guard)


def fence_by_epoch_only(plant: Plant) -> None:
    """Commits that a fail-over lost are not noticed: the number is not looked at."""

    def guard(database: Database, stands: Standing, owner: Standing) -> bool:
        return stands[:2] == owner[:2]

    plant.setattr(Database, "guard", guard)


def delete_unguarded(plant: Plant) -> None:
    def refused(database: Database, stored: Stored, write: Write) -> None:
        for key in write.gone:
            stored.rows.pop(key, None)

    plant.setattr(Database, "refused", refused)


def ack_before_a_durable_commit(plant: Plant) -> None:
    plant.setattr(Process, "_settle", Process.ack)


def check_a_remote_lock_in_a_cache(plant: Plant) -> None:
    remote_lock = Machine.remote_lock

    def cached(machine: Machine, system_id: str, answered: Callable[[bool | None], None]) -> None:
        cache: dict[str, tuple[float, bool | None]] = machine.__dict__.setdefault("cache", {})
        now = machine.world.engine.now
        if system_id in cache and now - cache[system_id][0] < 1.0:
            answered(cache[system_id][1])
            return

        def keep(locked: bool | None) -> None:  # noqa: FBT001 - an answer
            cache[system_id] = now, locked
            answered(locked)

        remote_lock(machine, system_id, keep)

    plant.setattr(Machine, "remote_lock", cached)


def join_over_a_lease_that_is_held(plant: Plant) -> None:
    """A node that starts again takes its name's lease over at once."""
    join = MemoryNodes.join

    async def join_at_once(nodes: MemoryNodes, node: Node) -> int | None:
        if node.name in nodes.nodes:
            nodes.nodes[node.name] = replace(nodes.nodes[node.name], beat=0)
        return await join(nodes, node)

    plant.setattr(MemoryNodes, "join", join_at_once)


def claim_what_another_node_owns(plant: Plant) -> None:
    """A claim does not look whether the owner's lease is held."""
    plant.setattr(MemoryNodes, "_free", lambda nodes, system: True)


def release_whatever_claim_it_is(plant: Plant) -> None:
    """A release that comes late ends a later claim of the same node."""

    async def release(nodes: MemoryNodes, lease: Lease, system_id: str, claim: int) -> None:
        system: OwnedSystem = nodes.systems[system_id]
        if (system.node, system.incarnation) == lease:
            nodes._set_free(system)

    plant.setattr(MemoryNodes, "release", release)


def hand_over_what_is_not_at_rest(plant: Plant) -> None:
    """A process that is released is taken for ended, and goes on."""
    release = Machine._release

    def leave_it_running(machine: Machine, command: Any) -> None:
        process = machine.processes.get(command.system)
        release(machine, command)
        if process is not None and command.system not in machine.processes:
            process.alive = True
            machine.processes[command.system] = process

    plant.setattr(Machine, "_release", leave_it_running)


def forget_a_claim_without_an_answer(plant: Plant) -> None:
    plant.setattr(Membership, "_mine_due", lambda membership, at: False)


def ignore_the_lease_before_an_effect(plant: Plant) -> None:
    plant.setattr(Process, "may_act", lambda process: True)


def trust_the_mark_of_an_earlier_life(plant: Plant) -> None:
    """A mark counts although the store was opened since."""
    plant.setattr(Database, "at_rest", lambda database, lease, system_id: system_id in database.marks)


def leave_a_mark_whoever_owns_the_system(plant: Plant) -> None:
    """A mark that comes late counts for the state that the system has by then."""

    def rested(database: Database, lease: Lease, system_id: str, state: Standing) -> bool:
        stored = database.stored[system_id]
        database.marks[system_id] = stored.life, stored.number
        return True

    plant.setattr(Database, "rested", rested)


#: The classic ones first.
MISTAKES = (
    renew_after_the_lease_was_broken,
    break_a_lease_without_waiting_it_out,
    fence_nothing,
    delete_unguarded,
    read_the_clock_after_the_answer,
    ack_before_a_durable_commit,
    check_a_remote_lock_in_a_cache,
    go_on_after_a_refused_beat,
    break_a_lease_that_has_beaten_since,
    allow_for_no_drift,
    believe_a_lease_for_ever,
    fence_by_number_only,
    fence_by_epoch_only,
    join_over_a_lease_that_is_held,
    claim_what_another_node_owns,
    release_whatever_claim_it_is,
    hand_over_what_is_not_at_rest,
    forget_a_claim_without_an_answer,
    ignore_the_lease_before_an_effect,
    trust_the_mark_of_an_earlier_life,
    leave_a_mark_whoever_owns_the_system,
)
