"""One node's part in the cluster: it joins, renews its lease, breaks others', claims systems and hands them over.

              Joined                  BeatRefused                Ended
    OUT ───────────────> JOINED ────────────────────> ENDING ──────────────> LEAVING ──Left──> OUT, or GONE
     ^ │ asks again        │      a system is missing                           ^               when it stops
     └─┘ JoinRefused       └──────────── Ended, of an orderly stop ─────────────┘

- **Own lease.** A beat renews it. It is believed until `Terms.believed` after the beat was *ordered*; the clock is not
  read when the answer comes. A lease that is not believed for a while is still this node's until somebody breaks it:
  effects, acknowledgements and lock checks wait, and the next beat that is answered has them go on.
- **A beat is refused**: the lease was broken, and others own the systems. Nothing is believed from then on, and
  everything ends before the node joins again, under a new incarnation that owns nothing.
- **Others' leases.** A node that sees the same beat for `Terms.broken_after` breaks that lease, if the beat is still
  the same when the store comes to it. Time in which the store was away does not count. Nobody joins under a name before
  the last lease of that name was given up or broken; a node waits for that of its own former life as well, because
  something of it may still believe it, unless the keeper knows that nothing of it goes on, and gives it up.
- **Claims.** A system without an owner is claimed by the node that it belongs to first (`placement`) at once, by the
  second one `_NEXT` seconds later, and so on. The store decides who has it.
- **Hand-overs.** A system that belongs to another node first, or any system of a node that is draining, is released: a
  few a second, and never one in a run, which its process says itself (`Kept`). One that does not say so is asked for a
  while, and then handed over as it is (`Release.though_silent`): it has a better chance elsewhere. One at rest has no
  process to end and none to begin: many of them are released at once.
- **Lost answers.** What was claimed without an answer is seen by looking at what is this node's, with nothing else
  under way. A release is asked for until it is answered: its process has ended. If a system is missing there, it was
  taken from a node whose lease holds. No rule here permits that (the database lost what it had confirmed), so the node
  is out.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from math import inf
from typing import Final, TypeVar

from maestro.cluster import facts
from maestro.cluster.commands import (
    Beat,
    Believe,
    BreakLease,
    Claim,
    Command,
    EndEverything,
    Join,
    Leave,
    Look,
    Question,
    Release,
    Serve,
)
from maestro.cluster.facts import Answer, Fact
from maestro.cluster.hand_overs import AtRest, HandOvers
from maestro.cluster.lease import Terms
from maestro.cluster.node import Node
from maestro.cluster.placement import claimers, order
from maestro.cluster.waits import Waits, Why

#: Seconds that a node waits for each node that a free system belongs to rather than to it.
_NEXT: Final = 1.0
#: Systems in one claim.
_CLAIM_AT_ONCE: Final = 500
#: Seconds until what the store did not answer is asked again.
_AGAIN: Final = 1.0
#: Seconds between two looks at what is this node's, when nothing gives rise to one.
_MINE_EVERY: Final = 30.0

Q = TypeVar("Q", bound=Question)


class State(Enum):
    """Where a node stands; see the module."""

    OUT = auto()
    JOINED = auto()
    ENDING = auto()
    LEAVING = auto()
    GONE = auto()


class Membership:
    """What one node knows of the cluster, and what follows for it."""

    def __init__(self, name: str, terms: Terms, at_rest: AtRest = lambda _: False, silent_within: float = 60.0) -> None:
        """Know nothing yet. `at_rest`: see `HandOvers`; `silent_within`: see `Waits`."""
        self.name: Final = name
        self._terms = terms
        self._state = State.OUT
        self._stopping = False
        self._incarnation = 0
        self._number = 0
        self._until = -inf
        self._nodes: tuple[Node, ...] = ()
        self._claimers: tuple[Node, ...] = ()
        #: The beat that each other node was seen with, and since when.
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        #: When the store said last which nodes there are.
        self._looked = -inf
        #: The systems that are ours, each with the number of its claim.
        self._owned: dict[str, int] = {}
        #: Systems without an owner, and since when they are known so; those that the store may not know, likewise.
        self._free: dict[str, float] = {}
        self._found: dict[str, float] = {}
        #: Found systems that were claimed once: the store knows them.
        self._tried: set[str] = set()
        #: Systems that are to go and have not: they were kept, or their release was not answered.
        self._waits = Waits(silent_within)
        self._hand_overs = HandOvers(at_rest, self._waits)
        self._under_way: set[Question] = set()
        self._next_try = self._next_beat = self._next_look = self._next_mine = -inf
        #: Seconds until the look at what is this node's after the next one.
        self._mine_pause = _MINE_EVERY
        self._commands: list[Command] = []

    # --- what is the case -------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where this node stands."""
        return self._state

    @property
    def incarnation(self) -> int:
        """The incarnation that it joined as; 0: none."""
        return self._incarnation

    @property
    def believed_until(self) -> float:
        """Until when its lease is believed, on its clock."""
        return self._until

    @property
    def owned(self) -> frozenset[str]:
        """The systems that it owns and serves."""
        return frozenset(self._owned)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, as they were seen last."""
        return self._nodes

    @property
    def waits_for(self) -> dict[str, Why]:
        """The systems that are yet to leave this node, which drains, as far as it is known why they have not."""
        me = self._me()
        if me is None or not me.draining:
            return {}
        if not self._others_claim():
            return dict.fromkeys(sorted(self._owned), Why.NO_NODE)
        return self._waits.why()

    # --- what happens -----------------------------------------------------------------------------------------

    def handle(self, fact: Fact, at: float) -> list[Command]:
        """Return what has to be done. `at`: this node's CLOCK_BOOTTIME in seconds, read before this call."""
        self._commands = []
        if isinstance(fact, Answer):
            if fact.question not in self._under_way:
                return []  # asked under a lease that has ended
            self._under_way.discard(fact.question)
        self._take(fact, at)
        self._order_due(at)
        return self._commands

    def _take(self, fact: Fact, at: float) -> None:  # noqa: C901, PLR0912 - one case for each fact
        match fact:
            case facts.Joined():
                self._joined(fact.incarnation, at)
            case facts.JoinRefused() | facts.Unanswered(Join()):
                self._next_try = at + self._terms.beat_every
            case facts.BeatAnswered():
                self._believe(fact.question.sent + self._terms.believed)
            case facts.BeatRefused():
                self._lose()
            case facts.NodesSeen():
                self._look_at(fact, at)
            case facts.Unanswered(Look(mine=True)):
                self._next_mine = at + _AGAIN
            case facts.Broken():
                self._next_look = at
            case facts.Claimed():
                self._claimed(fact)
            case facts.Unanswered(Claim()):  # it may be carried out yet, by a store that was slow
                self._next_mine, self._mine_pause = at, _AGAIN
            case facts.Released():
                self._no_longer_owned(fact.question.system)
            case facts.Kept():
                self._keep(fact.question.system, at, silent=fact.silent)
            case facts.Unanswered(Release(system=system)):
                self._waits.ask_again(system, at)
            case facts.Unanswered(Leave()):
                self._next_try = at + _AGAIN
            case facts.SystemsFound():
                new = fact.systems - self._owned.keys() - self._tried
                self._found |= {system: at for system in new if system not in self._found}
            case facts.StopAsked():
                self._stopping = True
            case facts.Ended() if self._state in (State.JOINED, State.ENDING):
                self._leave()
            case facts.Left():
                self._state, self._incarnation = (State.GONE if self._stopping else State.OUT), 0

    def _order_due(self, at: float) -> None:
        match self._state:
            case State.OUT if self._stopping:
                if not self._asked(Join):
                    self._state = State.GONE
            case State.OUT:
                self._join(at)
                self._look(at)
            case State.JOINED:
                self._beat(at)
                self._look(at)
                if not self._stopping:
                    self._claim(at)
                    self._hand_over(at)
            case State.LEAVING if at >= self._next_try and not self._asked(Leave):
                self._ask(Leave(self._incarnation))

    # --- the own lease ----------------------------------------------------------------------------------------

    def _join(self, at: float) -> None:
        if at >= self._next_try and not self._asked(Join):
            self._ask(Join())

    def _joined(self, incarnation: int, at: float) -> None:
        self._state, self._incarnation, self._number = State.JOINED, incarnation, 1
        self._next_beat = self._next_look = at
        self._next_mine = at + _MINE_EVERY
        if self._stopping:
            self._leave()

    def _beat(self, at: float) -> None:
        if at >= self._next_beat and not self._asked(Beat):
            self._number += 1
            self._next_beat = at + self._terms.beat_every
            self._ask(Beat(self._incarnation, self._number, at))

    def _believe(self, until: float) -> None:
        self._until = until
        self._commands.append(Believe(until))

    def _lose(self) -> None:
        """The lease is not ours any more: stop at once."""
        self._believe(-inf)
        self._commands.append(EndEverything())
        self._forget()
        self._state = State.ENDING

    def _leave(self) -> None:
        """Give up a lease that nothing is done under any more."""
        self._believe(-inf)
        self._forget()
        self._state, self._next_try = State.LEAVING, -inf

    def _forget(self) -> None:
        self._under_way.clear()
        self._owned.clear()
        self._hand_overs.forget()
        self._waits.forget_all_but(())
        for times in (self._free, self._seen):
            times.clear()

    # --- the others -------------------------------------------------------------------------------------------

    def _look(self, at: float) -> None:
        if self._asked(Look):
            return
        if self._mine_due(at) and not (self._asked(Claim) or self._asked(Release)):
            self._next_look, self._next_mine = at + self._terms.beat_every, at + self._mine_pause
            self._mine_pause = min(2 * self._mine_pause, _MINE_EVERY)
            self._ask(Look(self._incarnation, mine=True))
        elif at >= self._next_look:
            self._next_look = at + self._terms.beat_every
            self._ask(Look(self._incarnation))

    def _mine_due(self, at: float) -> bool:
        return self._state is State.JOINED and at >= self._next_mine

    def _look_at(self, seen: facts.NodesSeen, at: float) -> None:
        if seen.nodes != self._nodes:
            before = self._shares()
            self._nodes, self._claimers = seen.nodes, claimers(seen.nodes)
            if before != self._shares():
                self._hand_overs.changed()
        self._free = {system: self._free.get(system, at) for system in seen.free - self._owned.keys()}
        self._challenge(at)
        if seen.question.mine:
            self._compare(seen.mine)

    def _shares(self) -> tuple[object, ...]:
        """Return what decides which systems are to stay here."""
        me = self._me()
        return me is not None and me.draining, *((one.name, one.capacity) for one in self._claimers)

    def _challenge(self, at: float) -> None:
        """Break the leases whose beat stood still for long enough.

        Time in which the store did not say so does not count: it may have taken no beat of theirs either.
        """
        gap, self._looked = at - self._looked, at
        unseen = gap - self._terms.beat_every if gap > self._terms.beat_every + self._terms.answer_within else 0.0
        others = [node for node in self._nodes if node.name != self.name or self._state is State.OUT]
        before, self._seen = self._seen, {}
        for node in others:
            if not node.holds_lease:
                continue
            beat = (node.incarnation, node.beat)
            known, since = before.get(node.name, (None, at))
            since = since + unseen if known == beat else at
            self._seen[node.name] = (beat, since)
            question = BreakLease(node.name, node.incarnation, node.beat)
            # One with a longer lease than ours, as while the setting is changed, believes it for longer.
            terms = replace(self._terms, seconds=max(self._terms.seconds, node.lease_seconds))
            if at - since >= terms.broken_after and question not in self._under_way:
                self._ask(question)

    def _compare(self, mine: Mapping[str, int]) -> None:
        """Compare what is ours in the store with what we know: nothing was under way that changes it."""
        unconfirmed = self._waits.unconfirmed
        known = {system: claim for system, claim in self._owned.items() if system not in unconfirmed}
        if known.items() <= mine.items():
            self._own({system: claim for system, claim in mine.items() if system not in self._owned})
        else:
            self._lose()

    # --- systems ----------------------------------------------------------------------------------------------

    def _claim(self, at: float) -> None:
        if self._asked(Claim) or Look(self._incarnation, mine=True) in self._under_way:
            return
        if self._mine_due(at) and not self._asked(Release):  # a look waits for those, for seconds perhaps
            return
        known = [*self._free.items(), *self._found.items()]
        due = sorted({system for system, since in known if at >= since + self._place(system) * _NEXT})
        if due:
            self._ask(Claim(self._incarnation, tuple(due[:_CLAIM_AT_ONCE])))

    def _place(self, system: str) -> float:
        """Return how many nodes this system belongs to rather than to us; infinity: it cannot be ours."""
        names = order(system, self._claimers)
        return names.index(self.name) if self.name in names and self._me() is not None else inf

    def _me(self) -> Node | None:
        return next((one for one in self._nodes if (one.name, one.incarnation) == (self.name, self._incarnation)), None)

    def _claimed(self, fact: facts.Claimed) -> None:
        for system in fact.question.systems:
            self._free.pop(system, None)
            if self._found.pop(system, None) is not None:
                self._tried.add(system)
        self._own(fact.systems)

    def _own(self, systems: Mapping[str, int]) -> None:
        if systems:
            self._owned.update(systems)
            self._hand_overs.own(systems, self._goes)
            self._commands.append(Serve(self._incarnation, tuple(sorted(systems))))

    def _no_longer_owned(self, system: str) -> None:
        self._owned.pop(system, None)
        self._waits.forget((system,))
        self._hand_overs.over(system)

    def _keep(self, system: str, at: float, *, silent: bool) -> None:
        """A system is in a run, or does not say: it stays for now."""
        if system in self._owned:
            self._waits.keep(system, at, silent=silent)
            self._hand_overs.keep(system, self._goes)

    def _hand_over(self, at: float) -> None:
        if self._mine_due(at) or Look(self._incarnation, mine=True) in self._under_way:
            return
        releasing = {one.system for one in self._under_way if isinstance(one, Release)}
        somewhere = self._me() is not None and self._others_claim()
        for system in self._hand_overs.due(at, releasing, self._going if somewhere else None):
            though_silent = self._waits.too_long(system, at)
            self._ask(Release(self._incarnation, system, self._owned[system], though_silent=though_silent))

    def _going(self) -> list[str]:
        return sorted(filter(self._goes, self._owned))

    def _others_claim(self) -> bool:
        return any(node.name != self.name for node in self._claimers)

    def _goes(self, system: str) -> bool:
        """Whether a system of ours is not to stay, if it can go elsewhere."""
        me = self._me()
        if me is None or me.draining or me not in self._claimers:
            return me is not None and me.draining
        return order(system, self._claimers)[0] != self.name

    # --- questions --------------------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        self._under_way.add(question)
        self._commands.append(question)

    def _asked(self, kind: type[Q]) -> int:
        """Return how many questions of that kind have no answer yet."""
        return sum(isinstance(one, kind) for one in self._under_way)
