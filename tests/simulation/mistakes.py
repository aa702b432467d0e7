"""Classic mistakes, planted into the rules one at a time: the simulator must catch each of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from maestro.messages.decisions import Budget
from maestro.rules import (
    approving,
    arriving,
    cascading,
    committing,
    covering,
    deciding,
    demanding,
    facts,
    judging,
    kept,
    leaving_out,
    machine,
    opening,
    policies,
    rechecking,
    recognising,
    reconsidering,
    remembering,
    replaying,
    stages,
    starting,
    visibility,
    waiting,
)
from maestro.rules import commands as do
from maestro.rules.budget import used_up
from maestro.rules.commands import Needs
from maestro.rules.delivery import Delivery, Sight, Verdict
from maestro.rules.document import PLATFORM, Document, Stage, Unit, UnitState
from maestro.rules.doubt import Case, CommitEnd
from maestro.rules.ledger_book import Book
from maestro.rules.policies import Demand, Effect
from maestro.rules.preview import Recheck
from maestro.rules.settling import mark_parked, settle, unpark
from maestro.rules.state import JudgingStage, System
from maestro.rules.status import Status
from maestro.rules.step import SaveUnit, Step
from maestro.store.base import Delete
from maestro.system import ledger as runtime_ledger
from maestro.system import ledger_records, repository

Plant = pytest.MonkeyPatch


def ack_before_the_commit_is_stored(plant: Plant) -> None:
    plant.setattr(do.AckDelivery, "needs", Needs.NOTHING)


def ack_before_the_commit_is_synced(plant: Plant) -> None:
    plant.setattr(do.AckDelivery, "needs", Needs.STORED)


def park_without_confirm(plant: Plant) -> None:
    def park(delivery: Delivery, step: Step) -> None:
        settle(delivery, step)
        step.do(do.ParkEvent(delivery.key, ()))

    plant.setattr(arriving, "park", park)
    plant.setattr(waiting, "park", park)


def grow_the_document_after_the_commit(plant: Plant) -> None:
    grow, committed = cascading._grow, replaying.on_replay_committed
    grown_late: list[tuple[Any, ...]] = []

    def commit_first(system: System, doc: Document, unit: Unit, new: Any, step: Step) -> None:
        grown_late[:] = [(doc, unit, new)]
        unit.state = UnitState.COMMITTING
        step.save(SaveUnit(doc, unit))

    def grow_then(system: System, doc: Document, fact: facts.ReplayCommitted, step: Step) -> None:
        for grown, unit, new in grown_late:
            if grown.current is unit:
                grow(system, grown, unit, new, step)
        committed(system, doc, fact, step)

    plant.setattr(cascading, "_grow", commit_first)
    plant.setitem(stages.RUN[facts.ReplayCommitted], Stage.REPLAY_COMMIT, grow_then)


def grown_document_is_not_synced_before_the_commit(plant: Plant) -> None:
    plant.setattr(do.CommitReplay, "needs", Needs.STORED)


def unlock_before_the_last_commit(plant: Plant) -> None:
    def locks(doc: Document) -> bool:
        return doc.status is Status.RUNNING and bool(doc.outstanding)

    plant.setattr(Document, "locks", property(locks))


def drain_newest_first(plant: Plant) -> None:
    def judge_newest(system: System, step: Step) -> None:
        if system.waiting:
            system.waiting.move_to_end(next(reversed(system.waiting)), last=False)
        judge(system, step)

    judge = judging._judge_next
    plant.setattr(judging, "_judge_next", judge_newest)


def forget_dedup_after_a_restart(plant: Plant) -> None:
    def forgetful(system: System, delivery: Delivery) -> None:
        file(system, delivery)
        if delivery.done and not delivery.replay:
            if delivery.key in system.finished:
                system.finished.remove(delivery.key)
            del system.deliveries[delivery.key]

    file = repository._file
    plant.setattr(repository, "_file", forgetful)


def a_discovery_failure_is_none_impacted(plant: Plant) -> None:
    def failed(system: System, delivery: Delivery, fact: facts.JudgingFailed, step: Step) -> None:
        judging.on_impact_found(system, delivery, facts.ImpactFound(fact.token, ()), step)

    plant.setitem(stages.JUDGING[facts.JudgingFailed], JudgingStage.IMPACT, failed)


def approve_one_that_is_not_the_head(plant: Plant) -> None:
    def any_pending(system: System, fact: deciding.Decision, step: Step) -> Document | None:
        doc = system.documents.get(fact.id)
        return doc if doc is not None and doc.status is Status.PENDING else found(system, fact, step)

    found = deciding._pending
    plant.setattr(deciding, "_pending", any_pending)


def a_second_result_counts_too(plant: Plant) -> None:
    def answers(doc: Document, instance_id: str, branch: str, send: str) -> bool:
        return doc.current is not None and doc.current.instance_id == instance_id

    plant.setattr(Document, "is_answer", answers)


def held_commit_before_the_approval(plant: Plant) -> None:
    def open_and_commit(system: System, delivery: Delivery, fact: facts.OriginsFetched, *rest: Any) -> Document:
        doc = open_document(system, delivery, fact, *rest)
        step = rest[-1]
        step.do(do.CommitHeld(doc.id, 0, doc.held_instance))
        return doc

    open_document = opening.open_document
    plant.setattr(opening, "open_document", open_and_commit)


def judge_the_copy_of_a_failed_event_again(plant: Plant) -> None:
    def is_new(known: Delivery, fact: facts.EventArrived) -> bool:
        return known.done and known.verdict == "error" and not fact.redelivered

    plant.setattr(arriving, "_is_new_delivery", is_new)


def commit_beside_a_retried_run(plant: Plant) -> None:
    plant.setattr(judging, "_put_off", lambda _system, _step: None)


def take_a_copy_for_gone_when_its_ack_is_ordered(plant: Plant) -> None:
    def unpark_at_once(system: System, delivery: Delivery, step: Step) -> None:
        (unpark if delivery.done else mark_parked)(system, delivery, step)

    plant.setattr(arriving, "mark_parked", unpark_at_once)
    plant.setattr(waiting, "mark_parked", unpark_at_once)


def ask_again_and_take_a_failure_for_none(plant: Plant) -> None:
    def failed(system: System, fact: facts.RecheckFailed, step: Step) -> None:
        rechecking.on_recheck_found(system, facts.RecheckFound(fact.id, fact.token, ()), step)

    plant.setitem(machine._HANDLERS, facts.RecheckFailed, failed)


def replace_the_units_of_what_is_decided(plant: Plant) -> None:
    def settle_preview(doc: Document, step: Step) -> None:
        again = doc.recheck
        settle_it(doc, step)
        doc.recheck = again and Recheck(again.token, again.user)

    settle_it = deciding._settle_preview
    plant.setattr(deciding, "_settle_preview", settle_preview)


def approve_what_was_not_previewed(plant: Plant) -> None:
    plant.setattr(deciding, "_as_previewed", lambda _doc, _fact, _step: True)


def approve_twice_by_the_same_user(plant: Plant) -> None:
    def enough(system: System, doc: Document, fact: Any, step: Step) -> bool:
        first = doc.first_approval
        return (first is not None and first.revision == doc.revision) or ask(system, doc, fact, step)

    ask = approving.enough
    plant.setattr(approving, "enough", enough)


def let_a_first_approval_count_for_other_units(plant: Plant) -> None:
    def enough(system: System, doc: Document, fact: Any, step: Step) -> bool:
        first = doc.first_approval
        return (first is not None and first.user != fact.user) or ask(system, doc, fact, step)

    ask = approving.enough
    plant.setattr(approving, "enough", enough)


def forget_one_event_too_many(plant: Plant) -> None:
    def load(self: repository.Repository) -> System:
        system = loaded(self)
        system.rules = replace(system.rules, dedup_window=system.rules.dedup_window - 1)
        return system

    loaded = repository.Repository.load
    plant.setattr(repository.Repository, "load", load)


def demand_what_was_demanded_at_first(plant: Plant) -> None:
    demand = demanding._now

    def as_it_was_held(system: System, doc: Document) -> Demand:
        return doc.demand if doc.demand is not None else demand(system, doc)

    plant.setattr(demanding, "_now", as_it_was_held)


def approve_by_the_laxest_policy(plant: Plant) -> None:
    weigh = demanding.weigh

    def laxest(system: System, doc: Document, at: float, *given: Effect) -> policies.Verdict:
        verdict = weigh(system, doc, at, *given)
        spares = any(Effect.APPROVE in one.effects for one in verdict.weighed)
        return replace(verdict, approval=Effect.APPROVE) if spares else verdict

    plant.setattr(demanding, "weigh", laxest)


def skip_what_a_policy_refuses_to(plant: Plant) -> None:
    plant.setattr(demanding, "refuses_skip", lambda *_: False)


def forget_the_budget_of_a_policy(plant: Plant) -> None:
    approve = opening.approve

    def unlimited(system: System, doc: Document, user: str, step: Step, *args: Any, **more: Any) -> None:
        approve(system, doc, user, step, *args, **(more if user != PLATFORM else more | {"budget": Budget()}))

    plant.setattr(opening, "approve", unlimited)


def forget_the_budget_in_a_crash(plant: Plant) -> None:
    plant.setattr(repository, "limited", lambda _budget: False)


def count_a_budget_from_the_first_start(plant: Plant) -> None:
    def grant(doc: Document, budget: Budget) -> None:
        doc.budget = budget

    plant.setattr(Document, "grant", grant)


def replay_one_more_than_the_budget(plant: Plant) -> None:
    def used(doc: Document, now: float) -> str:
        return used_up(doc.budget, doc.replayed - doc.budget_from - 1, now - doc.history[-1].at)

    plant.setattr(Document, "budget_used", used)


def judge_what_is_reconsidered_first(plant: Plant) -> None:
    def take_in_first(system: System, delivery: Delivery, ticket: int, step: Step) -> None:
        take_in(system, delivery, ticket, step)
        system.waiting.move_to_end(delivery.number, last=False)

    take_in = waiting.take_in_waiting
    plant.setattr(waiting, "take_in_waiting", take_in_first)


def reconsider_twice(plant: Plant) -> None:
    def ask(system: System, fact: facts.ReconsiderAsked, step: Step) -> None:
        doc = system.documents.get(fact.id)
        if doc is not None:
            doc.reconsidered = 0
        reconsidering.on_reconsider_asked(system, fact, step)

    plant.setitem(machine._HANDLERS, facts.ReconsiderAsked, ask)


def make_a_commit_again_that_is_in_doubt(plant: Plant) -> None:
    def call_again(system: System, case: Case, end: CommitEnd, cause: str, step: Step) -> committing.Conclusion | None:
        doubtful = end in (CommitEnd.REFUSED, CommitEnd.LOST)
        return committing.Conclusion.CALL if doubtful else after_call(system, case, end, cause, step)

    after_call = committing.after_call
    plant.setattr(committing, "after_call", call_again)


def make_a_commit_again_after_a_crash(plant: Plant) -> None:
    def forgetful(system: System, delivery: Delivery) -> None:
        delivery.not_begun = delivery.verdict is Verdict.COMMIT and not delivery.done
        file(system, delivery)

    file = repository._file
    plant.setattr(repository, "_file", forgetful)


def make_a_held_commit_again_after_a_crash(plant: Plant) -> None:
    def forgetful(self: repository.Repository) -> System:
        system = load(self)
        for doc in system.documents.values():
            doc.held_begun = False
        return system

    load = repository.Repository.load
    plant.setattr(repository.Repository, "load", forgetful)


def ask_for_proof_before_the_commit_has_ended(plant: Plant) -> None:
    plant.setattr(committing, "has_ended", lambda _system, _case: True)


def prove_a_second_commit_by_the_rows_of_the_first(plant: Plant) -> None:
    plant.setattr(committing, "only_commit", lambda _system, _case: True)


def keep_the_reads_of_before_a_replay(plant: Plant) -> None:
    def committed(system: System, doc: Document, unit: Unit, step: Step) -> None:
        doc.footprint = None

    plant.setattr(remembering, "replay_committed", committed)


def forget_what_is_owed_to_the_ledger_in_a_crash(plant: Plant) -> None:
    def load(store: Any, book: Book) -> None:
        read(store, book)
        book.owed.clear()

    read = ledger_records.load
    plant.setattr(ledger_records, "load", load)


def judge_while_something_is_owed_to_the_ledger(plant: Plant) -> None:
    plant.setattr(remembering, "settled", lambda _system: True)


def commit_a_kept_result_whatever_was_committed_since(plant: Plant) -> None:
    plant.setattr(kept, "outdate", lambda _system, _committed, _step: None)


def start_without_asking_again(plant: Plant) -> None:
    plant.setattr(starting, "must_ask", lambda _doc: False)


def ask_at_the_first_start_only(plant: Plant) -> None:
    def must_ask(doc: Document) -> bool:
        starts = sum(entry.status is Status.RUNNING for entry in doc.history)
        return starts == 1 and ask(doc)

    ask = starting.must_ask
    plant.setattr(starting, "must_ask", must_ask)


def forget_the_budget_of_the_first_approver(plant: Plant) -> None:
    plant.setattr(approving, "granted", lambda _doc, budget: budget)


def retry_on_the_word_of_one(plant: Plant) -> None:
    def enough(system: System, doc: Document, fact: Any, step: Step) -> bool:
        return isinstance(fact, facts.Retried) or ask(system, doc, fact, step)

    ask = approving.enough
    plant.setattr(approving, "enough", enough)


def finish_over_what_is_set_aside(plant: Plant) -> None:
    plant.setattr(leaving_out, "nothing_else_left", lambda _system, _doc, _step: True)


def replay_what_was_left_out(plant: Plant) -> None:
    def take_all_back(doc: Document, step: Step) -> None:
        for unit in doc.order:
            if unit.state is UnitState.LEFT_OUT:
                doc.set_aside[unit.key] = unit
        again(doc, step)

    again = leaving_out.try_again
    plant.setattr(leaving_out, "try_again", take_all_back)


def let_one_unit_hold_up_the_others_for_ever(plant: Plant) -> None:
    def put_last(doc: Document, _problem: str, step: Step) -> None:
        doc.put_back_current(accepted=True)
        step.do(do.TakeControl(doc.id))

    plant.setattr(leaving_out, "set_aside", put_last)


def take_a_cover_whatever_its_size(plant: Plant) -> None:
    taken = covering.taken

    def taken_anyway(system: System, fact: facts.DecidersChecked) -> covering.Covered | None:
        doc = system.documents[fact.id]
        total, doc.total = doc.total, 0
        found = taken(system, fact)
        doc.total = total
        return replace(found, cause=found.cause.replace("0 units", f"{total} units")) if found else None

    def offer(system: System, doc: Document, step: Step) -> None:
        total, doc.total = doc.total, 0
        offered(system, doc, step)
        doc.total = total

    offered = covering.offer
    plant.setattr(covering, "offer", offer)
    plant.setattr(covering, "taken", taken_anyway)


def take_a_cover_of_somebody_who_may_no_longer_decide(plant: Plant) -> None:
    def on_checked(system: System, fact: facts.DecidersChecked, step: Step) -> None:
        deciding.on_deciders_checked(system, facts.DecidersChecked(fact.id, fact.token, ""), step)

    plant.setitem(machine._HANDLERS, facts.DecidersChecked, on_checked)


def forget_covers_in_a_crash(plant: Plant) -> None:
    load = repository.Repository.load

    def forgetful(self: repository.Repository) -> System:
        system = load(self)
        system.covers.clear()
        return system

    plant.setattr(repository.Repository, "load", forgetful)


def take_the_end_of_a_chains_first_operation_for_the_units(plant: Plant) -> None:
    known = machine._HANDLERS[facts.FollowingKnown]

    def whatever_follows(system: System, fact: facts.FollowingKnown, step: Step) -> None:
        known(system, facts.FollowingKnown(fact.id, fact.send, fact.instance_id, follows=False), step)

    plant.setitem(machine._HANDLERS, facts.FollowingKnown, whatever_follows)


def take_every_computation_for_fresh(plant: Plant) -> None:
    plant.setattr(runtime_ledger, "missed", lambda *_: ())


def forget_the_list_of_stale_results_in_a_crash(plant: Plant) -> None:
    def load(store: Any, book: Book) -> None:
        read(store, book)
        for unit in list(book.stale):
            store.commit([Delete(ledger_records.STALE, "/".join(unit))], durable=True)
        book.stale.clear()

    read = ledger_records.load
    plant.setattr(ledger_records, "load", load)


def act_on_a_time_out_at_once(plant: Plant) -> None:
    def timed_out(system: System, fact: facts.ReplayTimedOut, step: Step) -> None:
        replaying.on_persist_swept(system, facts.PersistSwept(fact.id, fact.send), step)

    plant.setitem(machine._HANDLERS, facts.ReplayTimedOut, timed_out)


def take_one_sync_persist_for_another(plant: Plant) -> None:
    def known(system: System, fact: facts.EventArrived) -> Delivery | None:
        latest = system.deliveries.get(system.fingerprints.get(fact.fingerprint, ""))
        return latest if fact.ticket is not None else find(system, fact)

    find = recognising.known
    plant.setattr(recognising, "known", known)


def acknowledge_an_event_with_a_used_id(plant: Plant) -> None:
    plant.setattr(recognising, "is_another", lambda _known, _fact: False)


def ask_before_the_last_commit_is_visible(plant: Plant) -> None:
    plant.setattr(visibility, "awaits_look", lambda _system: False)


def forget_owed_looks_in_a_crash(plant: Plant) -> None:
    plant.setattr(visibility, "resume", lambda _system, _step: None)


def trust_an_answer_that_api_core_made_doubtful(plant: Plant) -> None:
    def settled(system: System, owner: Any, step: Step) -> None:
        owner.sight = Sight.NOTHING

    plant.setattr(visibility, "doubtful", settled)


def an_outage_is_the_events_fault(plant: Plant) -> None:
    def failed(system: System, delivery: Delivery, fact: facts.JudgingFailed, step: Step) -> None:
        judging.on_judging_failed(system, delivery, facts.JudgingFailed(fact.token, fact.cause), step)

    for stage in (JudgingStage.IMPACT, JudgingStage.ORIGINS):
        plant.setitem(stages.JUDGING[facts.JudgingFailed], stage, failed)


def deliver_a_status_text_late(plant: Plant) -> None:
    for module in (opening, deciding, judging, replaying):
        plant.setattr(module, "drop_texts", lambda *_: False)


def take_finished_for_good_while_a_text_is_under_way(plant: Plant) -> None:
    def seen(look: Any, failures: int, system: System, step: Step) -> None:
        visibility._visible(look, failures, system, step)

    plant.setattr(visibility, "_seen", seen)


def forget_to_save_what_was_sent(plant: Plant) -> None:
    """The unit is saved with its result, so nobody but who looks at the document meanwhile notices."""

    def on_replay_sent(system: System, doc: Document, _fact: facts.ReplaySent, step: Step) -> None:
        unit = doc.current
        if doc.ending is None and unit is not None and unit.state is UnitState.SENDING:
            unit.state, unit.sent_at = UnitState.SENT, system.now
            step.do(do.AwaitResult(doc.id, doc.send_name(unit), system.now))

    plant.setitem(stages.RUN[facts.ReplaySent], Stage.SEND, on_replay_sent)


MISTAKES: tuple[Callable[[Plant], None], ...] = (
    ack_before_the_commit_is_stored,
    ack_before_the_commit_is_synced,
    park_without_confirm,
    grow_the_document_after_the_commit,
    grown_document_is_not_synced_before_the_commit,
    unlock_before_the_last_commit,
    drain_newest_first,
    forget_dedup_after_a_restart,
    forget_one_event_too_many,
    a_discovery_failure_is_none_impacted,
    approve_one_that_is_not_the_head,
    a_second_result_counts_too,
    held_commit_before_the_approval,
    judge_the_copy_of_a_failed_event_again,
    commit_beside_a_retried_run,
    take_a_copy_for_gone_when_its_ack_is_ordered,
    ask_again_and_take_a_failure_for_none,
    replace_the_units_of_what_is_decided,
    approve_what_was_not_previewed,
    approve_twice_by_the_same_user,
    let_a_first_approval_count_for_other_units,
    demand_what_was_demanded_at_first,
    approve_by_the_laxest_policy,
    skip_what_a_policy_refuses_to,
    forget_the_budget_of_a_policy,
    forget_the_budget_in_a_crash,
    count_a_budget_from_the_first_start,
    replay_one_more_than_the_budget,
    judge_what_is_reconsidered_first,
    reconsider_twice,
    make_a_commit_again_that_is_in_doubt,
    make_a_commit_again_after_a_crash,
    make_a_held_commit_again_after_a_crash,
    ask_for_proof_before_the_commit_has_ended,
    prove_a_second_commit_by_the_rows_of_the_first,
    keep_the_reads_of_before_a_replay,
    forget_what_is_owed_to_the_ledger_in_a_crash,
    judge_while_something_is_owed_to_the_ledger,
    take_every_computation_for_fresh,
    forget_the_list_of_stale_results_in_a_crash,
    commit_a_kept_result_whatever_was_committed_since,
    start_without_asking_again,
    ask_at_the_first_start_only,
    forget_the_budget_of_the_first_approver,
    retry_on_the_word_of_one,
    finish_over_what_is_set_aside,
    replay_what_was_left_out,
    let_one_unit_hold_up_the_others_for_ever,
    act_on_a_time_out_at_once,
    take_one_sync_persist_for_another,
    acknowledge_an_event_with_a_used_id,
    take_a_cover_whatever_its_size,
    take_a_cover_of_somebody_who_may_no_longer_decide,
    forget_covers_in_a_crash,
    take_the_end_of_a_chains_first_operation_for_the_units,
    ask_before_the_last_commit_is_visible,
    forget_owed_looks_in_a_crash,
    trust_an_answer_that_api_core_made_doubtful,
    an_outage_is_the_events_fault,
    deliver_a_status_text_late,
    take_finished_for_good_while_a_text_is_under_way,
    forget_to_save_what_was_sent,
)
