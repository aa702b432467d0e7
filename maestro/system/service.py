"""The service inside a system's actor: it owns the system's lock and reprocessing state, and answers for them.

Crash-only: when its store fails while in use, or the rules raise, the process ends and a new one starts from
what is stored: what is in memory then is not what was decided.
"""

import asyncio
import os
from collections.abc import Callable
from math import inf

import msgspec

from maestro import faultpoints, logs
from maestro.board.errors import SlotHeld
from maestro.board.owner_view import OwnerView
from maestro.links.dialer import Dialer
from maestro.links.items import MAIN, SYSTEM, Asked, Hello
from maestro.links.session import Session
from maestro.links.sizes import fits
from maestro.messages.answers import Answer, Code
from maestro.messages.leaving import LeaveAnswered
from maestro.messages.questions import CheckLock, Measure
from maestro.platform import Platform
from maestro.rules.ledger_book import LatePolicy, Scope
from maestro.rules.policies import for_system
from maestro.rules.state import Rules, System
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.door import open_stores
from maestro.store.rest_mark import RestMark, RestMarks
from maestro.store.row_store import RowStore
from maestro.system.leave import Leave
from maestro.system.open_system import EXIT_FAILED, OpenSystem
from maestro.system.passivation import Passivation
from maestro.system.policies import policies_of
from maestro.system.published_lock import PublishedLock
from maestro.system.repository import Repository
from maestro.system.rest_basis import rest_basis
from maestro.telemetry.call_counts import CallCounts
from maestro.telemetry.definitions import OF_SYSTEM
from maestro.telemetry.metrics import MetricsRegistry

#: Seconds between two tries to open a store that cannot be opened.
REOPEN_EVERY = 1.0
#: Seconds between two looks whether the broker's events are still ours, and, while they are not known to be, are.
LOOK_EVERY, LOOK_SOON = 1.0, 0.05
_TOO_LARGE = Answer(Code.FAILED, message="the answer is larger than a message may be; ask for less of it")


class SystemService:
    """One system. Until its store is open it answers `UNAVAILABLE` and takes no event."""

    def __init__(self, settings: Settings, system_id: str, epoch: int, tell: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._tell = tell
        self._id = system_id
        self._epoch = epoch
        self._log = logs.get(system=system_id)
        self._problem = f"system {system_id} is starting"
        self._lock = PublishedLock(settings, system_id, epoch, self._problem)
        self._open: OpenSystem | None = None
        self._opening: asyncio.Task[None] | None = None
        self._owner = OwnerView(settings)
        self._registry = MetricsRegistry(OF_SYSTEM)
        self._stores = open_stores(settings)
        self._marks = RestMarks(settings.data_dir)
        self._leave = Leave()
        self._passivation = Passivation(
            settings.actors.idle_after, rest_basis(settings), lambda: self._open, self._end_at_rest
        )
        self._passivating: asyncio.Task[None] | None = None
        self._ending = False
        own = Hello(SYSTEM, epoch, system_id=system_id)
        self._gateway = Dialer(settings.data_dir, MAIN, own, settings.actors, self._registry, self._gateway_met)

    # --- life --------------------------------------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Whether the store is open, and the links are well."""
        of_links = self._open.problem if self._open is not None else ""
        return self._problem or self._gateway.problem or of_links

    def snapshot(self) -> None:
        """Tell nothing: a system is asked with `Measure`."""

    async def start(self) -> None:
        """Open the store and carry on where it says; when it cannot be opened, keep trying and say so meanwhile."""
        self._gateway.open()
        opened = await self._try_open()
        if not opened or self._settings.broker.shared:
            self._opening = asyncio.create_task(self._keep_open())
            self._opening.add_done_callback(self._died)
        if self._settings.actors.idle_after:
            self._passivating = asyncio.create_task(self._passivation.run())

    def _died(self, task: asyncio.Task[None]) -> None:
        """What keeps the system open has ended by a defect: another process starts from the store."""
        if not task.cancelled() and task.exception() is not None:
            self._log.error("background task died", exc_info=task.exception())
            os._exit(EXIT_FAILED)

    async def _keep_open(self) -> None:
        """Open as soon as it can be done; shut as soon as the broker's events are another installation's."""
        while True:
            if self._owner.foreign:
                await asyncio.sleep(LOOK_SOON)
                await self._shut()
            else:
                await asyncio.sleep(LOOK_EVERY if self._open is not None else REOPEN_EVERY)
            if self._open is None and await self._try_open() and not self._settings.broker.shared:
                return

    async def _shut(self) -> None:
        """Take nothing in hand any more: what is under way ends, and is in the store."""
        if self._open is not None:
            opened, self._open = self._open, None
            self._log.error("the broker's events are another installation's: shut", reason=self._owner.foreign)
            self._problem = self._owner.foreign
            self._lock.unknown(self._problem)
            try:
                await opened.end()
            except StoreError as problem:  # what was not confirmed is done again, or by the other one
                self._log.error("the store did not confirm all in time", cause=str(problem))

    async def _try_open(self) -> bool:
        if refusal := self._owner.foreign:
            if refusal != self._problem:
                self._problem = refusal
                self._lock.unknown(refusal)
            return False
        try:
            self._lock.take_slot()  # before the store: nothing is done here while an earlier owner is believed
            store, repository, system = await self._load()
        except (StoreError, SlotHeld) as problem:
            self._problem = f"store: {problem}"
            self._lock.unknown(self._problem)
            self._log.error("store cannot be opened", cause=str(problem))
            return False
        platform = await Platform.open(self._settings.platform, CallCounts(self._registry), self._owner.until_acts)
        self._open = OpenSystem(
            self._settings, self._epoch, store, repository, system, platform, self._registry, self._lock.publish,
            self._leave,
        )  # fmt: skip
        self._problem = ""
        store.on_problem = self._tell
        self._open.begin()
        return True

    async def _load(self) -> tuple[RowStore, Repository, System]:
        """Open the store and read it: a damaged row is noticed here. Raises `StoreError`, and leaves it closed."""
        self._marks.remove(self._id)  # first: from here on the system may do something
        faultpoints.reach("system.before_store_open")
        store = await self._stores.open(self._id)
        try:
            repository = Repository(store, self._id, _rules(self._settings, self._id))
            return store, repository, repository.load()
        except BaseException:
            store.close()
            raise

    async def stop(self) -> None:
        """Finish the commit in hand, store everything, close."""
        if self._ending and self._passivating is not None:
            await asyncio.wait({self._passivating})  # with which the process ends
        for task in (self._opening, self._passivating):
            if task is not None:
                task.cancel()
        mark = self._passivation.mark()
        if self._open is not None:
            await self._open.end(synced=mark is not None)
            if mark is not None and mark is self._passivation.mark():  # nothing happened meanwhile
                await self._leave_mark(mark)
        self._owner.close()
        self._lock.close()
        await self._gateway.close()

    async def _end_at_rest(self, mark: RestMark) -> None:
        """End this life: the system is at rest, and nobody has anything for it. Does not return."""
        if self._opening is not None:
            self._opening.cancel()
        opened, self._open, self._ending = self._open, None, True
        assert opened is not None, "it is at rest"
        try:
            await opened.end(synced=True)
            await self._gateway.close()
            faultpoints.reach("system.before_rest_mark")
            await self._leave_mark(mark)
            faultpoints.reach("system.after_rest_mark")
            self._log.info("passivated")
        except Exception:  # noqa: BLE001 - half of it is closed: the next life starts from what is stored
            self._log.exception("not passivated in good order")
        finally:
            os._exit(0)

    async def _leave_mark(self, mark: RestMark) -> None:
        """Say that the system is at rest; its store is closed."""
        try:
            state = (await self._stores.states([self._id])).get(self._id)
            if state:
                mark = msgspec.structs.replace(mark, state=state)
                await self._stores.rested(self._id, mark)
                self._marks.leave(self._id, mark)
        except StoreError as problem:  # it is started again, as after any end
            self._log.warning("not known to be at rest", cause=str(problem))

    # --- questions ---------------------------------------------------------------------------------------------

    def _gateway_met(self, session: Session) -> None:
        def taken(item: object) -> None:
            if isinstance(item, LeaveAnswered):
                self._leave.answered(item)
            else:
                assert isinstance(item, Asked), "the gateway sends nothing else"
                self._asked(item, session)

        session.on_item, session.on_lost = taken, self._leave.lost
        self._leave.met(session)

    def _asked(self, asked: Asked, session: Session) -> None:
        """Answer to the session that asked, and to no other: of one that ended nobody waits for it."""

        def reply(answer: Answer) -> None:
            answered = asked.answered(answer)
            session.post(answered if fits(answered) else asked.answered(_TOO_LARGE))

        if isinstance(asked.question, CheckLock):
            unbelieved = self._owner.unbelieved
            reply(Answer(Code.UNAVAILABLE, message=unbelieved) if unbelieved else self._lock.answer)
        elif (
            self._open is not None
            and (problem := self._open.store_problem)
            and not isinstance(asked.question, Measure)  # that tells how long it lasts
        ):
            reply(Answer(Code.UNAVAILABLE, message=f"store: {problem}"))
        elif self._open is None or (refusal := self._owner.refusal):
            reply(Answer(Code.UNAVAILABLE, message=refusal if self._open is not None else self._problem))
        else:
            self._open.ask(asked.question, reply)


def _rules(settings: Settings, system_id: str) -> Rules:
    numbers, platform = settings.reprocessing, settings.platform
    return Rules(
        replay_attempts=numbers.replay_attempts,
        max_replays_per_instance=numbers.max_replays_per_instance,
        auto_approve=system_id in numbers.auto_approve,
        two_approvers=system_id in settings.access.two_approvers,
        dedup_window=numbers.dedup_window,
        require_reason=numbers.require_reason,
        prefetch=settings.broker.prefetch,
        commit_settle=inf if platform.commit_settle == "never" else platform.commit_settle,
        commit_repeatable=platform.commit_repeatable,
        commit_tries=platform.tries,
        commit_backoff=platform.backoff,
        ensure_finished=settings.platform.finished == "ensure",
        outage_limit=numbers.outage_limit,
        ledger_scope=Scope(settings.ledger.scope),
        ledger_rows=settings.ledger.rows,
        ledger_reports=settings.ledger.act == "report" or system_id in settings.ledger.reports,
        late_policy=LatePolicy(settings.late.policy),
        tag_window=numbers.tag_window,
        policies=for_system(policies_of(settings), system_id),
    )
