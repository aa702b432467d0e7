"""Whether a system is at rest: nothing of it goes on, is owed or waits, so that its process may end until it is asked.

Such a system is *passivated* (docs/architecture.md). Its next life starts from what is stored, so at rest is only who
would do nothing by that start, and whose lock is open. In doubt a system stays awake.
"""

from collections.abc import Callable
from typing import Final

from maestro.rules.delivery import Delivery
from maestro.rules.state import System
from maestro.rules.visibility import TEXT_COMES_WITHIN


def keeps_awake(system: System, at: float) -> str:
    """Return what the system must stay awake for at the moment `at` (seconds since the epoch); empty: it is at rest.

    Timers need no rule of their own: each one that `WakeAt` orders belongs to something that is named here, or has
    nothing left to do. What carries commands out looks at its own timers, calls and callers.
    """
    return next((reason for reason, holds in _REASONS if holds(system, at)), "")


def _is_open(delivery: Delivery) -> bool:
    return bool(not delivery.done or delivery.sight or delivery.parked or delivery.refs or delivery.tickets)


def _ledger_goes_on(system: System, _at: float) -> bool:
    book = system.ledger
    return bool(book.owed or book.fetching or book.to_ask or book.late_due or book.late_token)


#: The cheap looks first: the last one goes through all remembered deliveries.
_REASONS: Final[tuple[tuple[str, Callable[[System, float], object]], ...]] = (
    ("a reprocessing is not ended", lambda system, _: system.live or system.lock()),
    ("an end is still to be told", lambda system, _: system.owed),
    ("an event is in hand", lambda system, _: system.judged or system.inbox or system.unfinished),
    ("events wait", lambda system, _: system.waiting or system.parked),
    ("the wait queue is not known to be empty", lambda system, _: system.feeding or system.wait_queue_unknown),
    ("the outbox is not empty", lambda system, _: system.outbox or system.texts_under_way),
    (
        "a status text may still come",
        lambda system, at: any(at - since < TEXT_COMES_WITHIN for since in system.late_texts.values()),
    ),
    ("a commit is not known to be visible", lambda system, _: system.looks or system.questions),
    ("a commit is under way", lambda system, _: system.commits_under_way or system.cases or system.retries),
    ("a commit is in doubt", lambda system, _: system.open_doubts),
    ("a sibling is waited for", lambda system, at: system.stalls or system.troubles or system.closes_at > at),
    ("the ledger is not whole, or stale results gather", _ledger_goes_on),
    ("a commit is not known to be visible", lambda system, _: any(doc.sight for doc in system.documents.values())),
    ("an event is not settled", lambda system, _: any(map(_is_open, system.deliveries.values()))),
)
