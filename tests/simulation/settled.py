"""What must hold once a system is at rest: nothing lost (I1), all replayed (I5), unlocked (I6), data right (I8)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.simulation.broker import Message, parse_celery
from tests.simulation.domain import FINISHED, Place, Value
from tests.simulation.engine import Violation

if TYPE_CHECKING:
    from tests.simulation.world import Tenant

GIVEN_UP = ("failure", "aborted_split_events_failure", "aborted_persist_domain_failure", "cancelled")


def check_settled(tenant: Tenant) -> None:  # noqa: C901 - one thing after the other
    """Raise `Violation` for the first thing that does not hold."""
    _no_surprise_in_the_store(tenant)
    for uid, instance in tenant.accepted.items():
        _one_place(tenant, uid, instance)
    for instance in tenant.people.promised:
        _one_place(tenant, f"sync of {instance}", instance)
    if untold := tenant.insisting - tenant.people.promised:
        raise Violation(f"I9: sync persist of {untold} is asked again and again")
    for id_, row in tenant.host.watch.documents.items():
        _document_done(tenant, id_, row)
    if tenant.people.unanswered:
        raise Violation(f"I9: never answered: {tenant.people.unanswered}")
    if tenant.host.proceed != 200:
        raise Violation(f"I6: {tenant.system_id} is at rest and locked")
    if not tenant.host.mirrors.empty:
        mirrors = tenant.host.mirrors
        raise Violation(f"queues are left: {mirrors.line} {list(mirrors.events)} {list(mirrors.control)}")
    _totals_left_alone(tenant)
    _all_visible(tenant)
    _asked_again_in_doubt(tenant)
    for place, value, causes in tenant.siblings.data.stale():
        for cause in causes:
            if not beyond_telling(tenant, value, cause):
                _excused(tenant, place, value, cause)


def _all_visible(tenant: Tenant) -> None:
    statuses, known = tenant.siblings.data.statuses, tenant.host.watch.committed_executions()
    if hidden := [one for one in sorted(known) if statuses.get(one) != FINISHED]:
        raise Violation(f"{hidden} are committed and hidden from Discovery: {[statuses.get(one) for one in hidden]}")


def _asked_again_in_doubt(tenant: Tenant) -> None:
    """What was committed while Discovery kept something back, as Maestro could notice, is asked about once more.

    Of an instance that persisted twice, or whose commit was forgotten, it cannot be told which answer counted.
    """
    siblings, committed = tenant.siblings, set(tenant.host.watch.committed_events.values())
    committed -= siblings.commits.chained | siblings.commits.forgotten | siblings.missed.keys()
    instances = [siblings.data.instances[one] for one in sorted(committed)]
    if trusted := [one.id for one in instances if one.kept_back and one.noticed]:
        raise Violation(f"I5: Discovery is not asked again about {trusted}, though API core was away")


def _totals_left_alone(tenant: Tenant) -> None:
    """A running total is neither replayed nor held for another: it would be added twice."""
    instances = tenant.siblings.data.instances
    replayed = [one for one in tenant.siblings.taken if instances[one].of and instances[one].is_total]
    units = [unit for id_ in tenant.host.watch.documents for unit in tenant.host.watch.units_of(id_)]
    in_documents = [unit for unit in units if instances[unit[0]].is_total]
    if replayed or in_documents:
        raise Violation(f"I8: running totals are replayed: {replayed}, or are to be: {in_documents}")


def _no_surprise_in_the_store(tenant: Tenant) -> None:
    host = tenant.host
    host.flush(durable=True)
    if host.watch.waiting:
        raise Violation(f"I1: still waiting in the store: {host.watch.waiting}")
    if previews := [key for key, _ in host.store.rows("previews")]:
        raise Violation(f"previews of what is decided are kept: {previews}")
    if len(host.repository._bodies) > len([row for row in host.watch.deliveries.values() if not row.get("done")]):
        raise Violation("bodies of events that are done are kept in memory")


def by_hand(row: dict[str, Any]) -> bool:
    return any(user == "hand" for _, _, user, *_ in row["history"])


# --- I1 -----------------------------------------------------------------------------------------------------------


def _one_place(tenant: Tenant, uid: str, instance: str) -> None:
    host, siblings = tenant.host, tenant.siblings
    places, uids = set(), {uid}
    if instance in siblings.taken:
        places.add("committed")
    # What was promised to a sync persist may have been published as an event as well, and forgotten by that id.
    known_as = {uid, *(one for one, of in tenant.accepted.items() if of == instance)}
    committed_too = instance in siblings.uncertain or not known_as.isdisjoint(host.watch.judged_anew)
    for id_, row in host.watch.documents.items():
        if row["held_instance"] == instance:
            committed_too |= row["held_committed"]
            places.add(_place_of_held(row))
            uids.add(f"~reconsider/{id_}")
        units = host.watch.units_of(id_).values() if row["status"] in GIVEN_UP else ()
        if any(unit["result_key"] == uid and unit["state"] != "done" for unit in units):
            places.add("held")
    if any(_is_it(message, uids, instance) or _is_of(message, uid, instance) for message, _ in host.ingress.errors):
        places.add("error queue")
    places.discard("")
    # Rejected for an id that was another event's, delivered again, and judged once that event was forgotten.
    rejected = " for " in uid and uid.partition(" for ")[0] in host.watch.forgotten
    if (uids & tenant.repeated or rejected) and len(places) > 1:
        places.discard("error queue")
    if committed_too:
        places.discard("committed") if len(places) > 1 else None
    # Of an instance that persisted more than once each event has a place; which is whose cannot be told.
    if len(places) != 1 and not (places and _doubled(tenant, instance)):
        raise Violation(f"I1: event {uid} of {instance} is {' and '.join(sorted(places)) or 'lost'}")


def _is_it(message: Message, uids: set[str], instance: str) -> bool:
    """Whether a message is the one meant: once an id is forgotten, another event may come with it."""
    return message.uid in uids and parse_celery(message.body).event.instance_id == instance


def _is_of(message: Message, uid: str, instance: str) -> bool:
    """Whether a message that is known by something of Maestro's own is the one meant."""
    own = message.uid.startswith(("~sync/", "~other/")) or " for " in uid
    return own and parse_celery(message.body).event.instance_id == instance


def _place_of_held(row: dict[str, Any]) -> str:
    if row["status"] == "finished":
        return "" if row["held_committed"] else "overridden" if by_hand(row) else "lost in a finished document"
    if row["status"] == "skipped":
        return "" if row.get("reconsidered") else "skipped"
    return "held"


def _doubled(tenant: Tenant, instance: str) -> bool:
    several = sum(other == instance for other in tenant.accepted.values()) > 1
    return several or f"sync of {instance}" in tenant.repeated


# --- I5 -----------------------------------------------------------------------------------------------------------


def _document_done(tenant: Tenant, id_: str, row: dict[str, Any]) -> None:
    siblings = tenant.siblings
    if row["status"] in GIVEN_UP and id_ not in tenant.host.mirrors.failed:
        raise Violation(f"{id_} is {row['status']} and not on the error queue")
    if row["status"] != "finished" or by_hand(row):
        return
    for (original, branch), unit in tenant.host.watch.units_of(id_).items():
        replays = {
            replay
            for replay in set(siblings.taken)
            if (found := siblings.data.instances[replay]).of == original and found.doc == id_ and found.branch == branch
        }
        if unit["state"] == "left_out":
            if not unit["left_out"][0]:
                raise Violation(f"I5: nobody left {original} out of {id_}")
            continue
        if unit["state"] != "done" or len(replays) < unit["round"]:
            raise Violation(f"I5: {id_} is finished, {original} on {branch} was replayed {len(replays)} times: {unit}")
        if len(replays - siblings.uncertain) > unit["round"]:
            raise Violation(f"I5: {original} on {branch} was replayed {len(replays)} times in {unit['round']} rounds")


# --- I8 -----------------------------------------------------------------------------------------------------------


def _discovery_was_blind(tenant: Tenant, cause: Value, unit: tuple[str, str], value: Value) -> bool:
    """Whether nobody could name a unit: a row was inserted, or was not there when the unit looked for it.

    Or Discovery failed open and nobody could notice. If somebody could, it was asked again, and said what had been
    missed.
    """
    kept_back = unit in cause.by.kept_back
    return (
        cause.by.only_inserts
        or (_found_nothing(cause, value) and tenant.siblings.data.shortsighted)
        or (kept_back and (not cause.by.noticed or unit in tenant.siblings.missed.get(cause.by.id, ())))
    )


def _found_after_its_own(tenant: Tenant, value: Value, unit: tuple[str, str]) -> bool:
    """Whether a forgotten commit was made again after its unit was named: not finished by then, and listed since."""
    return value.by.original in tenant.siblings.commits.forgotten and unit in _listed(tenant)


def _found_nothing(cause: Value, value: Value) -> bool:
    """Whether the row that `cause` wrote was not there yet when `value` was computed of it."""
    return cause.by.writes in value.by.saw and not value.by.saw[cause.by.writes][1]


def _listed(tenant: Tenant) -> set[tuple[str, str]]:
    """Return the units that the ledger lists as not known to be fresh."""
    return {(row["unit"][0], row["unit"][1]) for _, row in tenant.host.store.rows("ledger_stale")}


def beyond_telling(tenant: Tenant, value: Value, cause: Value) -> bool:
    """Whether Maestro cannot know what was stored when, or for which of two events.

    What was asked and told about one that persists again cannot be told apart by its instance. And a loss of power
    takes commits from Maestro's memory: Domain may store their data after all that Maestro knows of, or has stored it
    when their events are judged anew and then held or skipped, so that Discovery is told that they are not finished.
    """
    commits, original = tenant.siblings.commits, value.by.original
    again = commits.chained & {cause.by.id, cause.by.original, value.by.id, original}
    after_all = commits.unexpected & {(value.by.id, value.at), (cause.by.id, cause.at)}
    hidden = original in commits.forgotten and tenant.siblings.data.statuses.get(original) != FINISHED
    # What stands was stored by a commit that nobody remembers; its event was judged anew since.
    forgot = cause.by.id in commits.forgotten and cause.asked_at != cause.by.asked_at
    return bool(again or after_all) or hidden or forgot


def _excused(tenant: Tenant, place: Place, value: Value, cause: Value) -> None:  # noqa: C901, PLR0911 - one for each reason
    """A stale value is right only where the rules say so: it came after the question, or its replay was given up."""
    unit = (value.by.original, place[1])
    if _discovery_was_blind(tenant, cause, unit, value):
        return
    if cause.asked_at < 0:
        raise Violation(f"I8: {place} is stale: Discovery never answered about {cause.by.id}")
    heard_at = tenant.siblings.heard_at.get(value.by.id, math.inf)
    unheard = value.by.unheard or heard_at == math.inf or value.at < cause.asked_at < heard_at
    unheard = unheard or cause.by.id not in tenant.siblings.heard_at  # nobody knew of what it missed
    if heard_at == math.inf or (unheard and tenant.siblings.data.shortsighted):
        return  # neither Discovery nor the ledger can know of it once the row was changed again
    # A commit that a loss of power made forgotten counts from when it was made again.
    since = heard_at if value.by.id in tenant.siblings.commits.forgotten else value.at
    if since >= cause.asked_at:
        if tenant.siblings.data.shortsighted and (value.by.original, place[1]) not in _listed(tenant):
            raise Violation(f"I8: {place} is stale and not listed: {value.by.id} did not see {cause.by.id}")
        return
    if value.by.of and value.by.drops_send:
        return  # a late result of a former round cannot be told from this round's: the rules' known limit
    row = tenant.host.watch.documents.get(cause.doc)
    if row is None and not _found_after_its_own(tenant, value, unit):
        raise Violation(f"I8: {place} is stale: {cause.by.id} was committed without asking for a reprocessing")
    if row is None or row["status"] != "finished" or by_hand(row):
        return
    found = tenant.host.watch.units_of(cause.doc).get(unit)
    if found is None and unit in tenant.host.watch.not_finished(cause.doc):  # and it did not end before the start
        # Its rows tell. What was not there when it looked is none of them; Discovery itself is blind for that, too.
        if unit not in _listed(tenant) and not _found_nothing(cause, value):
            raise Violation(f"I8: {place} is stale and not listed: {value.by.id} was named before its own commit")
        return
    if found is not None and found["state"] == "left_out":
        return
    if found is None or not found["reimpacted"]:
        raise Violation(f"I8: {place} is stale: {cause.by.id} changed what it reads, in {cause.doc}")
