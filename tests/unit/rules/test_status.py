import pytest

from maestro.rules.status import IN_PROGRESS, LIVE, OVERRIDES, TRANSITIONS, IllegalTransition, Status, Trigger, after

LEGAL = {
    ("pending_approval", "approve"): "approved",
    ("pending_approval", "skip"): "skipped",
    ("approved", "start"): "running",
    ("approved", "start_without_lock"): "running_without_lock",
    ("approved", "cancel"): "cancelled",
    ("approved", "fail"): "failure",
    ("approved", "finish"): "finished",
    ("running", "pause"): "paused",
    ("running_without_lock", "pause"): "paused",
    ("paused", "resume"): "running",
    ("paused", "resume_without_lock"): "running_without_lock",
    ("paused", "cancel"): "cancelled",
    ("paused", "fail"): "failure",
    ("paused", "finish"): "finished",
    ("failure", "retry"): "approved",
    ("aborted_split_events_failure", "retry"): "approved",
    ("aborted_persist_domain_failure", "retry"): "approved",
    ("cancelled", "retry"): "approved",
} | {
    (running, trigger): end
    for running in ("running", "running_without_lock")
    for trigger, end in {
        "finish": "finished",
        "fail": "failure",
        "abort_split": "aborted_split_events_failure",
        "abort_persist": "aborted_persist_domain_failure",
        "cancel": "cancelled",
    }.items()
}  # fmt: skip

PAIRS = [(status, trigger) for status in Status for trigger in Trigger]


@pytest.mark.parametrize(("status", "trigger"), PAIRS)
def test_every_pair_is_as_the_rules_say(status: Status, trigger: Trigger) -> None:
    end = LEGAL.get((status.value, trigger.value))
    if end is None:
        with pytest.raises(IllegalTransition, match=f"{trigger} is not possible while {status}") as illegal:
            after(status, trigger)
        assert (illegal.value.status, illegal.value.trigger) == (status, trigger)
    else:
        assert after(status, trigger) is Status(end)


def test_every_status_is_in_the_table_and_every_override_is_a_legal_transition() -> None:
    assert set(TRANSITIONS) == set(Status)
    for status, allowed in OVERRIDES.items():
        for wanted, trigger in allowed.items():
            assert after(status, trigger) is wanted


@pytest.mark.parametrize("status", list(Status))
def test_a_hand_may_set_exactly_this(status: Status) -> None:
    allowed = {
        Status.PENDING: {Status.APPROVED, Status.SKIPPED},
        **{started: {Status.FAILURE, Status.FINISHED} for started in (Status.APPROVED, *IN_PROGRESS)},
    }
    assert set(OVERRIDES.get(status, {})) == allowed.get(status, set())


def test_what_is_not_ended_is_live() -> None:
    assert {status for status in Status if status not in LIVE} == {
        Status.FINISHED, Status.SKIPPED, Status.FAILURE, Status.ABORTED_SPLIT, Status.ABORTED_PERSIST, Status.CANCELLED,
    }  # fmt: skip
