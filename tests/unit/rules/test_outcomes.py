"""What outcomes say of a run: a replay that failed, and one that ended with nothing to commit."""

import pytest

from maestro.events import ReplayRef
from maestro.rules import commands as do
from maestro.rules import facts, staleness
from maestro.rules.commands import Needs
from maestro.rules.document import UnitState
from maestro.rules.step import Step
from tests.unit.rules.driver import P1, P2, Driver


def ended(m: Driver, instance: str = "re1", send: str | None = None, **how: object) -> list[do.Command]:
    unit = m.doc.current
    assert unit is not None
    ref = ReplayRef("d1", unit.instance_id, m.doc.send_name(unit) if send is None else send)
    fact = facts.InstanceEnded(instance, "calc.done", "7", "master", ref, ref=5, **how)  # type: ignore[arg-type]
    return m.tell(fact)


@pytest.fixture
def m() -> Driver:
    driver = Driver()
    driver.run()
    driver.sent()
    return driver


def known(m: Driver, *, follows: bool) -> list[do.Command]:
    asked = m.last(do.AskFollowing)
    return m.tell(facts.FollowingKnown(asked.id, asked.send, asked.instance_id, follows))


def test_a_replay_that_ends_with_nothing_to_commit_is_done(m: Driver) -> None:
    first = m.doc.current
    assert first is not None
    ended(m)
    assert m.only(do.AskFollowing) == do.AskFollowing("d1", m.doc.send_name(first), "re1", "calc.done", "7")
    known(m, follows=False)
    assert first.state is UnitState.DONE
    assert m.doc.current is not first
    assert m.doc.replayed == 1
    assert m.asked(do.TakeControl)
    assert m.asked(do.SendReplay)
    assert not any(isinstance(command, do.CommitReplay) for command in m.log)


def test_the_chain_goes_on_when_its_end_starts_another_operation(m: Driver) -> None:
    ended(m)
    known(m, follows=True)
    assert m.doc.current is not None
    assert m.doc.current.state is UnitState.SENT


def test_a_result_that_came_meanwhile_counts(m: Driver) -> None:
    ended(m, "re1")
    m.result("re2", "p1")
    known(m, follows=False)
    assert m.doc.current is not None
    assert m.doc.current.state is UnitState.ASSESSING


def test_the_end_of_an_instance_that_answered_a_former_round_says_nothing(m: Driver) -> None:
    for name, of, impacts in (("re1", "p1", ()), ("re2", "p2", (P1,)), ("re3", "p1", (P2,)), ("re4", "p2", (P1,))):
        m.replay(name, of, *impacts)
    m.sent()
    for former in ("re1", "re3"):
        assert ended(m, former) == [do.AckOutcome(5, synced=False)]
    ended(m, "re5")
    assert m.asked(do.AskFollowing)


@pytest.mark.parametrize("send", ["d1/p1/another", "x"])
def test_the_end_of_another_send_says_nothing(m: Driver, send: str) -> None:
    assert ended(m, send=send) == [do.AckOutcome(5, synced=False)]


def test_an_end_that_names_no_send_counts_while_there_was_one_only(m: Driver) -> None:
    ended(m, send="")
    assert m.asked(do.AskFollowing)
    unit = m.doc.current
    assert unit is not None
    m.tell(facts.ReplayTimedOut("d1", m.doc.send_name(unit)))
    m.tell(facts.PersistSwept("d1", m.doc.send_name(unit)))
    m.sent()
    assert ended(m, send="") == [do.AckOutcome(5, synced=False)]


def test_what_domain_stored_is_not_the_end_of_a_replay_without_a_commit(m: Driver) -> None:
    assert not [command for command in ended(m, stored=True) if isinstance(command, do.AskFollowing)]


def test_an_exception_is_as_a_reported_failure(m: Driver) -> None:
    reported = Driver()
    reported.run()
    reported.sent()
    unit = reported.doc.current
    assert unit is not None
    reported.tell(facts.ReplayErred("d1", unit.instance_id, "master", reported.doc.send_name(unit), "it raised"))
    ended(m, cause="it raised")
    assert m.doc.ending == reported.doc.ending
    assert m.doc.ending is not None
    assert "it raised" in str(m.doc.ending)


def test_an_outcome_is_acknowledged_once_what_came_of_it_is_synced(m: Driver) -> None:
    assert do.AckOutcome(5, synced=True).needs is Needs.SYNCED
    assert do.AckOutcome(5, synced=False).needs is Needs.NOTHING
    assert do.AckOutcome(5, synced=True) in ended(m, cause="it raised")


def test_an_outcome_of_no_replay_is_acknowledged(m: Driver) -> None:
    fact = facts.InstanceEnded("i9", "calc.done", "1", "master", None, ref=8)
    assert m.tell(fact) == [do.AckOutcome(8, synced=False)]


def test_an_end_with_nothing_to_commit_ends_the_wait_for_who_did_not_take_the_send() -> None:
    m = Driver()
    m.run()
    send = m.last(do.SendReplay)
    m.tell(facts.RunFailed("d1", send.token, "no answer", sibling="event_manager"))
    ended(m)
    known(m, follows=False)
    assert m.doc.current is not None
    assert m.doc.current.instance_id == "p2"
    assert m.last(do.SendReplay) is not send
    assert not m.system.troubles
    assert not m.system.stalls


def test_so_does_a_process_that_failed_for_good() -> None:
    m = Driver(replay_attempts=1)
    m.run()
    m.tell(facts.RunFailed("d1", m.last(do.SendReplay).token, "no answer", sibling="event_manager"))
    m.errs("p1")
    assert m.doc.current is not None
    assert m.doc.current.instance_id == "p2"
    assert not m.system.troubles


@pytest.mark.parametrize("noted", ["before it was sent", "after it was sent"])
def test_what_a_replay_with_nothing_to_commit_was_listed_for_before_it_was_sent_is_listed_no_more(noted: str) -> None:
    m = Driver()
    if noted == "before it was sent":
        staleness.named_late(m.system, P1, "c", Step())
    m.run()
    m.sent()
    if noted == "after it was sent":
        staleness.named_late(m.system, P1, "c", Step())
    ended(m)
    known(m, follows=False)
    assert (P1.key in m.system.ledger.stale) is (noted == "after it was sent")


def away(m: Driver) -> None:
    """The Event Manager did not take the send, nor anything else; then it is time to send again."""
    m.tell(facts.RunFailed("d1", m.last(do.SendReplay).token, "down", sibling="event_manager"))
    canary = m.only(do.AskCanary)
    m.tell(facts.CanaryAsked(canary.what, canary.token, answered=False))
    wake = next(one for one in m.commands if isinstance(one, do.WakeAt) and one.topic is do.Topic.OUTAGE)
    m.now = wake.at
    m.tell(facts.Woken(wake.topic, wake.key))
    assert m.system.stalls


def test_a_refusal_says_that_who_refuses_is_back() -> None:
    m = Driver()
    m.run(P1)
    away(m)
    m.tell(facts.UnitRefused("d1", m.only(do.SendReplay).token, "has no subscribers"))
    assert not m.system.stalls
    assert not m.system.troubles


def test_so_does_an_end_while_the_send_is_made_again() -> None:
    m = Driver()
    m.run()
    m.tell(facts.PauseAsked("d1", "ana", m.ticket()))
    away(m)
    ended(m)
    known(m, follows=False)
    m.sent()
    assert not m.system.stalls
    assert not m.system.troubles
