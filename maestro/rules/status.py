"""The life of a reprocessing: one table, status -> trigger -> status. A pair that is not in it is illegal.

Source: semantics, flow 3.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from maestro.statuses import GIVEN_UP as GIVEN_UP
from maestro.statuses import IN_PROGRESS as IN_PROGRESS
from maestro.statuses import LIVE as LIVE
from maestro.statuses import Status as Status


class Trigger(StrEnum):
    """What moves a reprocessing from one status to the next."""

    APPROVE = "approve"
    SKIP = "skip"
    START = "start"
    START_WITHOUT_LOCK = "start_without_lock"
    FINISH = "finish"
    FAIL = "fail"
    ABORT_SPLIT = "abort_split"
    ABORT_PERSIST = "abort_persist"
    CANCEL = "cancel"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    RESUME_WITHOUT_LOCK = "resume_without_lock"


_ENDS: Final[Mapping[Trigger, Status]] = {
    Trigger.FINISH: Status.FINISHED,
    Trigger.FAIL: Status.FAILURE,
    Trigger.ABORT_SPLIT: Status.ABORTED_SPLIT,
    Trigger.ABORT_PERSIST: Status.ABORTED_PERSIST,
    Trigger.CANCEL: Status.CANCELLED,
}
_RUN: Final[Mapping[Trigger, Status]] = {**_ENDS, Trigger.PAUSE: Status.PAUSED}
_AGAIN: Final[Mapping[Trigger, Status]] = {Trigger.RETRY: Status.APPROVED}

TRANSITIONS: Final[Mapping[Status, Mapping[Trigger, Status]]] = {
    Status.PENDING: {Trigger.APPROVE: Status.APPROVED, Trigger.SKIP: Status.SKIPPED},
    Status.APPROVED: {
        Trigger.START: Status.RUNNING,
        Trigger.START_WITHOUT_LOCK: Status.RUNNING_WITHOUT_LOCK,
        Trigger.CANCEL: Status.CANCELLED,
        Trigger.FAIL: Status.FAILURE,
        Trigger.FINISH: Status.FINISHED,
    },
    Status.RUNNING: _RUN,
    Status.RUNNING_WITHOUT_LOCK: _RUN,
    Status.PAUSED: {
        Trigger.RESUME: Status.RUNNING,
        Trigger.RESUME_WITHOUT_LOCK: Status.RUNNING_WITHOUT_LOCK,
        Trigger.CANCEL: Status.CANCELLED,
        Trigger.FAIL: Status.FAILURE,
        Trigger.FINISH: Status.FINISHED,
    },
    Status.FAILURE: _AGAIN,
    Status.ABORTED_SPLIT: _AGAIN,
    Status.ABORTED_PERSIST: _AGAIN,
    Status.CANCELLED: _AGAIN,
    Status.FINISHED: {},
    Status.SKIPPED: {},
}

#: Statuses a hand may set (`set_status`), from each status that allows it, and the trigger that amounts to.
OVERRIDES: Final[Mapping[Status, Mapping[Status, Trigger]]] = {
    Status.PENDING: {Status.APPROVED: Trigger.APPROVE, Status.SKIPPED: Trigger.SKIP},
    **{
        status: {Status.FAILURE: Trigger.FAIL, Status.FINISHED: Trigger.FINISH}
        for status in (Status.APPROVED, Status.RUNNING, Status.RUNNING_WITHOUT_LOCK, Status.PAUSED)
    },
}


class IllegalTransition(ValueError):  # noqa: N818 - it names what was illegal
    """A trigger that the status does not allow."""

    def __init__(self, status: Status, trigger: Trigger) -> None:
        super().__init__(f"{trigger} is not possible while {status}")
        self.status = status
        self.trigger = trigger


def after(status: Status, trigger: Trigger) -> Status:
    """Return the status that follows. Raises `IllegalTransition`."""
    try:
        return TRANSITIONS[status][trigger]
    except KeyError:
        raise IllegalTransition(status, trigger) from None
