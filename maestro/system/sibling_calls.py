"""Carries out what the rules order of the siblings: each command is one task, and ends in the fact that answers it.

A task that fails in any way ends in the failing fact: no command is left without an answer.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from maestro import faultpoints, logs
from maestro.board.owner_view import OwnerView
from maestro.events import MASTER, parse_celery
from maestro.platform import NoSubscribers, Platform, SiblingError
from maestro.platform.observer import UNANSWERED
from maestro.rules import commands as do
from maestro.rules import facts, not_finished
from maestro.rules.document import Document
from maestro.rules.doubt import CommitEnd
from maestro.rules.facts import Fact
from maestro.rules.ids import RANDOM_BYTES, document_id
from maestro.rules.impact import Origin, replay_order
from maestro.rules.outage import JUDGING
from maestro.rules.rendering import notification, replay_event
from maestro.settings.model import Settings
from maestro.system.asking import Asking, together
from maestro.system.canaries import Canaries
from maestro.system.deadline import PROMPT_TRIES, promptly
from maestro.system.dispatcher import Handlers
from maestro.system.failing import failure
from maestro.system.ledger import Ledger
from maestro.system.long_commits import LongCommits
from maestro.system.proofs import Proofs
from maestro.system.unanswered import Unanswered
from maestro.system.units_ahead import FEW
from maestro.telemetry.definitions import COMMIT_SECONDS, EVENT, HELD, RECHECK, REPLAY, REPLAY_SENDS
from maestro.telemetry.metrics import MetricsRegistry
from maestro.telemetry.tracing import Trace

if TYPE_CHECKING:
    from maestro.system.engine import Engine

#: What the Event Manager says of an event that no operation takes: its only answer that is final.
NO_SUBSCRIBERS = "has no subscribers"
#: What changes something elsewhere: only of the owner of the broker's events is it done.
_CHANGING = (do.Commit, do.CommitHeld, do.CommitReplay, do.SendReplay, do.Notify)


class SiblingCalls:
    """The siblings' side of one system."""

    def __init__(
        self,
        settings: Settings,
        platform: Platform,
        engine: "Engine",
        registry: MetricsRegistry,
        trace: Trace | None = None,
        owner: OwnerView | None = None,
    ) -> None:
        self._owner = owner or OwnerView(settings)
        self._trace = trace
        self._registry = registry
        self._settings = settings
        self._platform = platform
        self._engine = engine
        self._system = engine.machine.system
        self._ledger = Ledger(engine.repository.store, engine.store_ledger)
        self._log = logs.get(system=self._system.id)
        self._loop = asyncio.get_running_loop()
        self._long = LongCommits(self._system, registry)
        self._proofs = Proofs(self._system.id, platform, engine, use_map=settings.platform.proof_map)
        self._tasks: set[asyncio.Task[None]] = set()
        #: An answer is being fed to the engine by one of the tasks, and what that task goes on with.
        self._answering = False
        self._next: do.Command | None = None
        self._canaries = Canaries(self._system.id, platform, engine, settings.data_dir)
        self._asking = Asking(self._system, platform, self._ledger, self._canaries, registry)
        #: What was told in this life of notifications that failed: kind and error.
        self._told: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._alarms: dict[tuple[do.Topic, str], asyncio.TimerHandle] = {}
        self._handlers: dict[type[do.Command], Callable[..., Coroutine[None, None, Fact]]] = {
            do.AskImpact: self._ask_impact,
            do.FetchOrigins: self._fetch_origins,
            do.Commit: self._commit,
            do.AskProof: self._ask_proof,
            do.Notify: self._notify,
            do.CommitHeld: self._commit_held,
            do.AskStartImpact: self._ask_start_impact,
            do.SendReplay: self._send_replay,
            do.AskReplayImpact: self._ask_replay_impact,
            do.AskFollowing: self._ask_following,
            do.FetchReplayOrigins: self._fetch_replay_origins,
            do.CommitReplay: self._commit_replay,
            do.AskRecheck: self._ask_recheck,
            do.FetchRecheckOrigins: self._fetch_recheck_origins,
            do.AskFootprint: self._asking.footprint,
            do.AskCanary: self._asking.canary,
            do.Look: self._asking.look,
            do.SetFinished: self._asking.set_finished,
            do.AskAgain: self._asking.again,
            do.FetchOwed: self._fetch_owed,
            do.FindOldestEntries: self._find_oldest_entries,
            do.FetchLateOrigins: self._fetch_late_origins,
        }

    def handlers(self) -> Handlers:
        """Return who begins which command of the siblings."""
        return {
            do.AwaitResult: self._await_result,
            do.WakeAt: self._wake_at,
            **dict.fromkeys(self._handlers, self._begin),
        }

    def _begin(self, command: do.Command) -> None:
        if self._answering and self._next is None:
            self._next = command  # in the task whose answer led to it: another would cost more than the call's own work
            return
        self._start(self._run(command))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def remove_units(self, document_id: str) -> None:
        """Remove the units that were stored ahead of a document which did not open, in the background."""
        self._start(self._engine.store_parts(self._engine.repository.ahead.given_up(document_id)))

    @property
    def busy(self) -> bool:
        """Whether a call is under way, or a wake-up is ordered."""
        return bool(self._tasks or self._alarms)

    async def close(self) -> None:
        """Stop all that is under way; what it was about is continued from the store."""
        for timer in (*self._timers.values(), *self._alarms.values()):
            timer.cancel()
        self._long.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, command: do.Command) -> None:
        """Carry out a command, and what its answer leads to, and so on."""
        while True:
            fact = await self._answer(command)
            faultpoints.reach("system.after_sibling_call")
            following = self._feed(fact)
            if following is None:
                return
            command = following

    def _feed(self, fact: Fact) -> do.Command | None:
        """Let the answer happen; return the command among what it leads to that goes on here."""
        self._answering = True
        try:
            self._engine.feed(fact)
        finally:
            self._answering = False
        if type(fact) is facts.OriginsFetched and fact.document_id not in self._system.documents:
            self.remove_units(fact.document_id)
        following, self._next = self._next, None
        return following

    async def _answer(self, command: do.Command) -> Fact:
        call = None if self._trace is None else self._trace.call(command)
        logs.carry(self._ids(command))
        asked_at = time.time()
        UNANSWERED.set(Unanswered(command, self._engine, self._settings.platform.answer_timeout))
        try:
            if isinstance(command, _CHANGING):
                await self._owner.until_acts()
            fact = await self._handlers[type(command)](command)
        except SiblingError as problem:
            fact = failure(command, str(problem), "" if problem.final else problem.service, asked_at)
        except Exception as problem:  # noqa: BLE001 - whatever it was, the rules need an answer
            self._log.exception("command failed", command=type(command).__name__)
            fact = failure(command, f"{type(problem).__name__}: {problem}")
        logs.carry({})
        if call is not None:
            call.end(getattr(fact, "cause", ""))
        return fact

    def _ids(self, command: do.Command) -> dict[str, str]:
        """Return what a command's log lines are found by."""
        ids: dict[str, str] = {}
        if instance := getattr(command, "instance_id", ""):
            ids["instance"] = instance
        if document := getattr(command, "id", ""):
            ids["reprocessing"] = document
        elif self._system.judged is not None:
            ids["delivery"] = self._system.judged.key
        return ids

    async def _commit_to_domain(self, token: int, instance_id: str, kind: str) -> facts.CommitFailed | float:
        """Call Domain once; return the seconds it took, or how it failed."""
        started = time.perf_counter()
        self._long.begun(token, instance_id, kind)
        try:
            answer = await self._platform.domain.commit(self._system.id, instance_id)
        finally:
            self._long.ended(token)
            took = time.perf_counter() - started
            self._registry.observe(COMMIT_SECONDS, took, kind)
        return took if answer.end is CommitEnd.MADE else facts.CommitFailed(token, answer.end, answer.cause)

    def _wake_at(self, command: do.WakeAt) -> None:
        key = (command.topic, command.key)
        previous = self._alarms.pop(key, None)
        if previous is not None:
            previous.cancel()

        def due() -> None:
            del self._alarms[key]
            self._engine.feed(facts.Woken(command.topic, command.key))

        self._alarms[key] = self._loop.call_later(max(0.0, command.at - time.time()), due)

    # --- judging -----------------------------------------------------------------------------------------------

    async def _ask_impact(self, command: do.AskImpact) -> Fact:
        judged, failures = self._system.judged, self._asking.api_failures
        branch = judged.branch if judged is not None else MASTER  # else nobody waits for the answer any more
        found = await self._asking.impacted(command.instance_id, branch, EVENT, JUDGING)
        return facts.ImpactFound(command.token, *found, failures)

    async def _fetch_origins(self, command: do.FetchOrigins) -> Fact:
        tries = self._asking.tries(JUDGING)
        held, instance, origins, rows = await together(
            self._platform.process_memory.origin(command.instance_id, tries=tries),
            self._platform.apicore.instance(command.instance_id, tries=tries),
            self._asking.origins(command.units, tries=tries),
            self._asking.rows(command.instance_id, self._system.deliveries[command.key].footprint),
        )
        failures = self._asking.api_failures  # all is answered: what fails while units are stored casts no doubt on it
        body = self._engine.repository.body(self._system.deliveries[command.key].number)
        assert body is not None, "the body of an event that is being judged is kept"
        id_ = document_id(self._system.id, os.urandom(RANDOM_BYTES))
        await self._store_ahead(id_, origins)
        return facts.OriginsFetched(
            command.token, id_, parse_celery(body).event.raw,
            held.event if held else b"", origins, bool(instance and instance.is_fork), failures, rows,
        )  # fmt: skip

    async def _store_ahead(self, id_: str, origins: tuple[Origin, ...]) -> None:
        """Store the units of a document that will be large before it opens, if it does."""
        if len(origins) > FEW:
            found, _ = not_finished.part(self._system, origins)
            await asyncio.sleep(0)
            ordered = replay_order(found)
            await asyncio.sleep(0)
            await self._engine.store_parts(self._engine.repository.ahead.parts(self._system.id, id_, ordered))

    # --- a decision: somebody waits for the answer ----------------------------------------------------------------

    async def _ask_recheck(self, command: do.AskRecheck) -> Fact:
        async with promptly("discovery", "impacted", self._settings.http.ask_timeout):
            branch = self._document(command.id).branch
            asked = self._asking.impacted(command.instance_id, branch, RECHECK, surely=True, tries=PROMPT_TRIES)
            units, footprint = await asked
            rows = await self._asking.rows(command.instance_id, footprint)
        return facts.RecheckFound(command.id, command.token, units, rows)

    async def _fetch_recheck_origins(self, command: do.FetchRecheckOrigins) -> Fact:
        async with promptly("process_memory", "origin", self._settings.http.ask_timeout):
            origins = await self._asking.origins(command.units, tries=PROMPT_TRIES)
        return facts.RecheckOriginsFetched(command.id, command.token, origins)

    async def _commit(self, command: do.Commit) -> Fact:
        ended = await self._commit_to_domain(command.token, command.instance_id, EVENT)
        return facts.Committed(command.token, ended) if isinstance(ended, float) else ended

    async def _ask_proof(self, command: do.AskProof) -> Fact:
        finding = await self._proofs.look(command.instance_id)
        began = await self._proofs.began(command.instance_id) if command.began else None
        return facts.ProofFound(command.token, finding, began)

    # --- a run -------------------------------------------------------------------------------------------------

    def _document(self, id_: str) -> Document:
        return self._system.documents[id_]

    async def _notify(self, command: do.Notify) -> Fact:
        doc = self._document(command.id)
        event = notification(doc, command.kind, self._engine.rendered(doc))
        try:
            await self._platform.event_manager.send(event, tries=self._settings.platform.notification_tries)
        except NoSubscribers:
            if NoSubscribers.__name__ not in self._told:
                self._log.info("nobody subscribes to notifications, which is harmless", kind=command.kind)
            self._told.add(NoSubscribers.__name__)
        except SiblingError as problem:
            kind = f"{command.kind} {type(problem).__name__}"
            if kind not in self._told:
                self._log.warning("notification failed", kind=command.kind, reprocessing=doc.id, cause=str(problem))
            self._told.add(kind)
        return facts.Notified(command.id, command.token)

    async def _commit_held(self, command: do.CommitHeld) -> Fact:
        ended = await self._commit_to_domain(command.token, command.instance_id, HELD)
        return facts.HeldCommitted(command.id, command.token, ended) if isinstance(ended, float) else ended

    async def _ask_start_impact(self, command: do.AskStartImpact) -> Fact:
        branch = self._document(command.id).branch
        found = await self._asking.impacted(command.instance_id, branch, HELD, command.id, surely=True)
        return facts.StartImpactFound(command.id, command.token, *found)

    async def _send_replay(self, command: do.SendReplay) -> Fact:
        doc = self._document(command.id)
        if doc.current is not None and doc.token == command.token:  # else superseded meanwhile
            self._registry.count(REPLAY_SENDS)
            tries = self._asking.tries(doc.id)
            try:
                await self._platform.event_manager.send(replay_event(doc, doc.current), tries=tries)
            except NoSubscribers as problem:
                return facts.UnitRefused(command.id, command.token, str(problem))
        return facts.ReplaySent(command.id, command.token)

    def _await_result(self, command: do.AwaitResult) -> None:
        """Set the one timer of a document. No jump of the clock makes it longer than the limit."""
        limit = self._settings.reprocessing.replay_timeout
        left = min(limit, max(0.0, command.since + limit - time.time()))
        previous = self._timers.pop(command.id, None)
        if previous is not None:
            previous.cancel()
        fact = facts.ReplayTimedOut(command.id, command.send)
        self._timers[command.id] = asyncio.get_running_loop().call_later(left, self._engine.feed, fact)

    async def _ask_replay_impact(self, command: do.AskReplayImpact) -> Fact:
        unit = self._document(command.id).current
        branch = unit.branch if unit is not None else MASTER  # else nobody waits for the answer any more
        found = await self._asking.impacted(command.instance_id, branch, REPLAY, command.id, surely=True)
        return facts.ReplayImpactFound(command.id, command.token, *found)

    async def _ask_following(self, command: do.AskFollowing) -> Fact:
        follows = await self._platform.apicore.starts_operation(command.name, command.version)
        return facts.FollowingKnown(command.id, command.send, command.instance_id, follows)

    async def _fetch_replay_origins(self, command: do.FetchReplayOrigins) -> Fact:
        origins = await self._asking.origins(command.units, tries=self._asking.tries(command.id))
        return facts.ReplayOriginsFetched(command.id, command.token, origins)

    async def _commit_replay(self, command: do.CommitReplay) -> Fact:
        ended = await self._commit_to_domain(command.token, command.instance_id, REPLAY)
        return facts.ReplayCommitted(command.id, command.token, ended) if isinstance(ended, float) else ended

    # --- the ledger --------------------------------------------------------------------------------------------

    async def _fetch_owed(self, command: do.FetchOwed) -> Fact:
        owed = self._system.ledger.owed[command.number]
        footprint, reads, candidates, problem = owed.footprint, None, None, ""
        if footprint is None:
            footprint = await self._platform.domain.footprint(self._system.id, owed.instance_id)
        try:
            if owed.reads:
                reads = await self._platform.process_memory.reads(owed.instance_id, owed.branch)
            if owed.reads and reads is None:
                origin = await self._platform.process_memory.origin(owed.instance_id)
                candidates = await self._ledger.candidates(owed, origin.timestamp if origin is not None else "")
        except SiblingError as error:  # who read what it changed can be told all the same
            problem = str(error)
        return await self._ledger.fetched(owed, footprint, reads, candidates, problem)

    async def _fetch_late_origins(self, command: do.FetchLateOrigins) -> Fact:
        origins = await self._asking.origins(command.units)
        id_ = document_id(self._system.id, os.urandom(RANDOM_BYTES))
        return facts.LateOriginsFetched(command.token, id_, origins)

    async def _find_oldest_entries(self, command: do.FindOldestEntries) -> Fact:
        return self._ledger.oldest(command.rows)
