"""The gateway's way to the actors: questions over a session with each system, what is about lives over thespian.

Runs on the main process's loop. It listens for the systems there; an `Endpoint` carries the messages to and from the
supervisor. It outlives the actor systems it talks to: the runtime attaches it to each new one, and the systems
installed are installed there again.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from maestro.actors.at_rest import answer_at_rest
from maestro.actors.child import State
from maestro.actors.directory_view import DirectoryView
from maestro.actors.endpoint import Endpoint
from maestro.actors.errors import Unavailable, UnknownSystem
from maestro.actors.messages import Address, Directory, Entry, GetDirectory, Role, ServicesStopped
from maestro.actors.pending_requests import PendingRequests, Reply, expire
from maestro.actors.supervisor_talk import SupervisorTalk
from maestro.actors.wake_ups import WakeUps
from maestro.board.node_lease import NodeView
from maestro.links.folder import make_folder
from maestro.links.items import MAIN, Answered, Hello
from maestro.links.listener import Listener
from maestro.links.session import Session
from maestro.messages.answers import Answer, Code
from maestro.messages.leaving import LeaveAnswered, LeaveAsked
from maestro.messages.questions import UNOBTRUSIVE, AwaitChange, CheckLock, Question
from maestro.settings.model import Settings
from maestro.store.rest_mark import RestMarks
from maestro.telemetry.definitions import OF_GATEWAY
from maestro.telemetry.metrics import ActorState, MetricsRegistry, Snapshot

#: Seconds between two looks at the directory, and while something is not in its place.
_POLL: Final = 2.0
_POLL_SOON: Final = 0.05
#: While a part has a problem: as a rule it is over soon, and somebody waits for the start.
_POLL_TROUBLED: Final = 0.25
_INSTALL_TIMEOUT: Final = 10.0
#: Seconds that a system has to end when it is released: it is killed before.
_RELEASE_TIMEOUT: Final = 15.0
#: Seconds after a request to replace a system's actor in which it is not repeated.
_REPLACE_PAUSE: Final = 2.0
#: Seconds between two looks whether a system without a session is at rest, and whether one that is watched still is.
_LOOK_SOON: Final = 0.02
_LOOK: Final = 10.0
#: Seconds until a wake-up that nothing came of is asked for again.
_WAKE_AGAIN: Final = 0.2
_OPEN: Final = Answer(Code.OK)
_RELEASED: Final = Answer(Code.UNAVAILABLE, message="the system is on its way to another node of the cluster")
_RESTARTING: Final = Answer(Code.UNAVAILABLE, message="the actors are being restarted")


class EndpointClient:
    """Asks systems, and knows which there are."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.actors
        self._data_dir = settings.data_dir
        self._registry = MetricsRegistry(OF_GATEWAY)
        self._marks = RestMarks(settings.data_dir)
        self._node = NodeView(settings)
        self._wake_ups = WakeUps(self._registry)
        own = Hello(MAIN, time.time_ns())
        self._links = Listener(settings.data_dir, own, settings.actors, self._registry, self._met)
        self._number = partial(next, itertools.count(time.time_ns()))
        self._pending: dict[str, PendingRequests] = {}
        #: Those in which something is open, by system.
        self._talking: dict[str, PendingRequests] = {}
        self._wanted: dict[str, None] = {}
        #: Systems that are to have no actor any more; and of which of them the supervisor said that they have none.
        self._releasing: dict[str, None] = {}
        self._released: frozenset[str] = frozenset()
        self._talk = SupervisorTalk(settings.actors.replace_after)
        self._replaced_at: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._directory = DirectoryView()
        self._log = structlog.get_logger()

    # --- for the gateway --------------------------------------------------------------------------------------

    async def ask(self, system_id: str, question: Question, *, timeout: float) -> Answer:  # noqa: ASYNC109 - the protocol
        """Put a question to a system's actor and return its answer.

        One that timed out, or whose caller was cancelled, may still be carried out. A system without a session is
        waited for, up to `actors.silent_after` seconds. For one that is passivated its mark answers, or it is woken.

        Raises:
            UnknownSystem: no such system is installed.
            Unavailable: the actors are not up.
            TimeoutError: no answer within `timeout` seconds.
        """
        if system_id not in self._wanted:
            raise UnknownSystem(system_id)
        pending = self._pending.get(system_id)
        if pending is None or not self._talk.up:
            raise Unavailable("the actors are being started")
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        if pending.session is None:
            answer = await self._ask_without_session(pending, question, until)
            if answer is not None:
                return answer
        reply: Reply = loop.create_future()
        timer = loop.call_at(until, expire, reply)
        pending.ask(question, reply, time.monotonic())
        self._tend(pending)
        try:
            return await reply
        finally:
            timer.cancel()

    async def _ask_without_session(self, pending: PendingRequests, question: Question, until: float) -> Answer | None:
        """Answer for a system at rest, or wake it; one that is being replaced is waited for. None: ask it."""
        if isinstance(question, CheckLock):
            return _OPEN if self._rests(pending.system_id) else None
        clock = asyncio.get_running_loop().time
        asked = clock()
        while pending.session is None:
            mark = self._marks.read(pending.system_id)
            limit, pause = until, _LOOK
            if mark is None:
                limit, pause = self._wait_until(pending, asked, until), _LOOK_SOON
            elif (answer := answer_at_rest(mark, question)) is not None:
                return answer
            elif isinstance(question, AwaitChange):
                limit = asked + question.seconds
            elif not isinstance(question, UNOBTRUSIVE):
                await self._wake(pending, until - clock())
                return None
            if clock() >= limit:
                return None if mark is None else Answer(Code.OK, message=getattr(question, "after", ""))
            with suppress(TimeoutError):
                await self._until(lambda: pending.session is not None, min(pause, limit - clock()))
        return None

    def _rests(self, system_id: str) -> bool:
        """Whether a system is at rest now, and this node's: the lease is looked at second."""
        return self._marks.has(system_id) and self._node.believed

    def _wait_until(self, pending: PendingRequests, asked: float, until: float) -> float:
        """Return until when a system without a session is waited for: one that is on its way, for as long as may be."""
        on_its_way = pending.is_coming(self._directory.of(Role.SYSTEM, pending.system_id))
        return until if on_its_way else min(until, asked + self._settings.silent_after)

    async def _wake(self, pending: PendingRequests, seconds: float) -> None:
        """Have a passivated system woken, and wait for it at most that long."""
        with self._wake_ups.waited_for(pending.system_id), suppress(TimeoutError):
            self._talk.ask_within(0.0)
            await self._until(lambda: pending.session is not None, seconds)

    def systems(self) -> tuple[str, ...]:
        """Return the ids of all installed systems, sorted."""
        return tuple(sorted(self._wanted))

    def knows(self, system_id: str) -> bool:
        """Whether a system is installed."""
        return system_id in self._wanted

    async def install(self, system_id: str) -> None:
        """Have an actor for this system, now and after each restart; returns once the supervisor has created it.

        Raises:
            Unavailable: the supervisor did not answer within 10 s; it is created later all the same.
        """
        self._wanted[system_id] = None
        if system_id in self._pending and self._talk.up:
            return
        self._talk.ask_within(0.0)
        try:
            await self._until(lambda: system_id in self._pending, _INSTALL_TIMEOUT)
        except TimeoutError:
            raise Unavailable("the supervisor did not answer in time") from None

    async def release(self, system_id: str) -> None:
        """Have no actor for this system any more; returns once it has ended, in good order if it could.

        Raises:
            Unavailable: the supervisor did not say so in time; it is asked until it does.
        """
        self._wanted.pop(system_id, None)
        self._releasing[system_id] = None
        self._released -= {system_id}  # what was said before is of an earlier release
        self._talk.ask_within(0.0)
        try:
            await self._until(lambda: system_id in self._released, _RELEASE_TIMEOUT)
        except TimeoutError:
            raise Unavailable("the supervisor did not end the system in time") from None
        self._releasing.pop(system_id, None)

    async def readiness(self) -> Mapping[str, str]:
        """Return what is not in its place, as part -> problem; empty when all is ready."""
        if not self._talk.up:
            return {"actors": "they are being started"}
        entry_of = partial(self._directory.of, Role.SYSTEM)
        expected = (each for each in self._pending.values() if each.is_expected(entry_of(each.system_id)))
        systems = {f"system {each.system_id}": each.state for each in expected}
        missing = {f"system {each}": "absent" for each in self._wanted if each not in self._pending}
        parts = {**self._directory.states(), **systems, **missing}
        absent = {part: f"is {state}" for part, state in parts.items() if state != State.RUNNING}
        links = {"links": self._links.problem} if self._links.problem else {}
        node = {"cluster": self._node.refusal} if self._node.refusal else {}
        return {**node, **links, **self._directory.problems(), **absent}

    async def at_rest(self, system_ids: Collection[str]) -> Mapping[str, str]:
        """Return which of these systems are passivated, and the `cursor` of each one's newest record."""
        marks = ((system_id, self._marks.read(system_id)) for system_id in system_ids if system_id in self._wanted)
        return {system_id: mark.newest for system_id, mark in marks if mark is not None}

    def passivated(self) -> int:
        """Return how many systems are passivated."""
        return self._directory.passivated()

    def actors(self) -> tuple[ActorState, ...]:
        """Return all actors as last seen, with what ingress and cascade measured; passivated systems have none."""
        return self._directory.actors()

    def measured(self) -> Snapshot:
        """Return what was measured of this process's links."""
        return self._registry.snapshot()

    # --- for the runtime --------------------------------------------------------------------------------------

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The directory as last seen; another tuple once it is seen to have changed."""
        return self._directory.entries

    @property
    def silent_for(self) -> float:
        """Seconds since the supervisor's last word."""
        return self._talk.silent_for

    def listen(self) -> None:
        """Let the systems come; the data folder is this process's own. Raises `OSError` when the sockets cannot be."""
        make_folder(self._data_dir)
        self._links.open()

    async def close(self) -> None:
        """End the sessions with the systems."""
        await self._links.close()

    def attach(self, endpoint: Endpoint, supervisor: Address, run_id: str) -> None:
        """Talk to this actor system from now on, and install there what was installed before."""
        self._directory, self._released = DirectoryView(), frozenset()
        self._talk.attach(endpoint, supervisor, run_id)

    def detach(self) -> None:
        """Answer all that is open with `UNAVAILABLE` and ask nobody."""
        self._talk.detach()
        for pending in self._pending.values():
            pending.fail(_RESTARTING)
            pending.lost()

    def stopping(self) -> "asyncio.Future[ServicesStopped]":
        """Return a future of the supervisor's word that all services are stopped."""
        return self._talk.stopping()

    async def wait_for_services(self, seconds: float) -> None:
        """Wait until ingress, cascade and all installed systems run, at most that long. Raises `TimeoutError`."""
        await self._until(self._all_running, seconds)

    async def changed(self, seconds: float) -> None:
        """Wait until the directory is seen to have changed, at most that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def wait_for_roles(self, seconds: float) -> None:
        """Wait until ingress and cascade run, at most that long. Raises `TimeoutError`."""
        await self._until(lambda: self._directory.roles_run, seconds)

    async def run(self) -> None:
        """Do what is due: signs of life, the directory. For as long as the client is used."""
        while True:
            self._tick(time.monotonic())
            await self._talk.rest(ticking=bool(self._talking))

    def receive(self, message: object) -> None:
        """Take a message from the endpoint, on the loop."""
        match message:
            case Directory() if self._talk.hears(message.run_id):
                if changed := self._directory.take(message):
                    self._update(changed)
                if message.released:
                    self._released = frozenset(message.released)
                    self._signal_change()
                if self._wake_ups or not self._all_running():
                    self._talk.ask_within(_POLL_SOON)
            case ServicesStopped():
                self._talk.stopped(message)

    def lost(self, _address: Address, _message: object) -> None:
        """Take note that a send failed, on the loop: who it was for has probably ended."""
        self._talk.ask_within(_POLL_SOON)

    # --- steps ------------------------------------------------------------------------------------------------

    def _met(self, system: Hello, session: Session) -> None:
        """A system's actor is there: what is asked of the system goes into this session, until it ends."""
        pending = self._pending_of(system.system_id)

        def item(item: object) -> None:
            if isinstance(item, LeaveAsked):
                session.post(LeaveAnswered(pending.leave(session), item.number))
            else:
                assert isinstance(item, Answered), "a system sends nothing else"
                pending.answered(item, time.monotonic())

        def lost() -> None:
            if pending.session is session:
                pending.lost()
            self._talk.ask_within(_POLL_SOON)
            self._signal_change()

        session.on_item, session.on_lost = item, lost
        pending.met(session, system.epoch, time.monotonic())
        self._wake_ups.awake(system.system_id)
        self._signal_change()

    def _pending_of(self, system_id: str) -> PendingRequests:
        pending = self._pending.get(system_id)
        if pending is None:
            pending = self._pending[system_id] = PendingRequests(system_id, self._settings.silent_after, self._number)
        return pending

    def _signal_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _tick(self, now: float) -> None:
        if not self._talk.up:
            return
        self._talk.tick(now)
        for pending in list(self._talking.values()):
            pending.tick(now)
            if pending.session is None and self._rests(pending.system_id):
                pending.answer_checks(_OPEN)
            self._replace_if_silent(pending, now)
            if pending.quiet:
                del self._talking[pending.system_id]
        if self._talk.is_due(now):
            missing = tuple(id_ for id_ in self._wanted if self._directory.of(Role.SYSTEM, id_) is None)
            releasing = tuple(self._releasing)
            question = GetDirectory(self._directory.version, missing, self._wake_ups.wanted, releasing)
            troubled = self._directory.troubled
            pause = _WAKE_AGAIN if self._wake_ups or releasing else _POLL_TROUBLED if troubled else _POLL
            self._talk.ask(question, now, pause)

    def _tend(self, pending: PendingRequests) -> None:
        """Let pending requests tick for as long as one of them is open."""
        if not self._talking:
            self._talk.hurry()
        self._talking[pending.system_id] = pending

    def _replace_if_silent(self, pending: PendingRequests, now: float) -> None:
        since = pending.silent_since
        if since is None or now - since < self._settings.replace_after:
            return
        if now - self._replaced_at.get(pending.system_id, 0.0) >= _REPLACE_PAUSE:
            self._replaced_at[pending.system_id] = now
            self._talk.replace(pending.system_id, pending.epoch)

    def _update(self, changed: tuple[Entry, ...]) -> None:
        for entry in changed:
            if entry.state == State.RELEASED:
                self._forget(entry.system_id)
            elif entry.role is Role.SYSTEM and entry.system_id not in self._releasing:
                self._pending_of(entry.system_id)
                self._wanted[entry.system_id] = None
        self._signal_change()

    def _forget(self, system_id: str) -> None:
        """A system was released: tell all that wait for it."""
        pending = self._pending.pop(system_id, None)
        self._talking.pop(system_id, None)
        if pending is not None:
            pending.fail(_RELEASED)
            pending.lost()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await self._changed.wait()

    def _all_running(self) -> bool:
        return self._directory.roles_run and all(self._answers(system_id) for system_id in self._wanted)

    def _answers(self, system_id: str) -> bool:
        """Whether a system is passivated, or runs and the life of it that the directory names has a session."""
        entry, pending = self._directory.of(Role.SYSTEM, system_id), self._pending.get(system_id)
        if entry is not None and entry.state == State.PASSIVATED:
            return True
        return entry is not None and pending is not None and pending.talks_with(entry)
