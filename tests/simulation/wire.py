"""Calls to siblings: they take their time both ways, change something or do not, and a crash may cut them off."""

from collections.abc import Callable

from maestro.rules import facts
from maestro.rules.outage import JUDGING
from tests.simulation.engine import Engine
from tests.simulation.siblings import Siblings


class Wire:
    """The calls of one system's process, life after life; answers to a former life are not heard."""

    def __init__(self, engine: Engine, siblings: Siblings) -> None:
        self.engine = engine
        self.siblings = siblings
        #: Which life of the process this is.
        self.life = 0
        #: How often the process dies between an effect and hearing of it.
        self.fragile = engine.random.choice((0.0, 0.0, 0.04, 0.1))
        #: Calls that will change something.
        self._in_flight: dict[int, Callable[[], None]] = {}
        self._calls = 0

    def crash(self, *, power_lost: bool) -> None:
        """This life ends."""
        raise NotImplementedError

    def tell(self, fact: facts.Fact) -> None:
        """A fact reaches the system."""
        raise NotImplementedError

    def _call(self, answer: Callable[[], facts.Fact | None], apply: Callable[[], None] | None = None) -> None:
        """Call a sibling: perhaps it changes something, later it answers."""
        self._calls += 1
        call = self._calls
        slow = 20.0 if self.siblings.faulty and self.engine.chance(0.05) else 1.0
        there, back = self.engine.soon(slow), self.engine.soon(slow)
        if apply is not None:
            self._in_flight[call] = apply
            self.engine.after(there, self._apply, self.life, call)
        self.engine.after(there + back, self._answered, self.life, answer)

    def _apply(self, life: int, call: int) -> None:
        if life == self.life:
            self._in_flight.pop(call)()
            if self.siblings.faulty and self.engine.chance(self.fragile):
                self.crash(power_lost=self.engine.chance(0.5))

    def _answered(self, life: int, answer: Callable[[], facts.Fact | None]) -> None:
        if life == self.life:
            fact = answer()
            if fact is not None:
                if self.siblings.faulty and self._calls % 11 == 0 and (hung := self._hung(fact)) is not None:
                    self.tell(hung)
                self.tell(fact)

    def _hung(self, fact: facts.Fact) -> facts.Unanswered | None:
        """Return how the first try of a question ended that was answered, or given up, only after another."""
        since = 1.6e9 + self.engine.now - 45.0
        if isinstance(fact, facts.JudgingFailed | facts.ImpactFound | facts.OriginsFetched):
            return facts.Unanswered(JUDGING, fact.token, "discovery", "no answer within 30 s", since)
        if isinstance(fact, facts.RunFailed | facts.ReplayImpactFound | facts.ReplayOriginsFetched | facts.ReplaySent):
            return facts.Unanswered(fact.id, fact.token, "discovery", "no answer within 30 s", since)
        return None

    def _ask(self, answer: Callable[[], facts.Fact], failed: facts.Fact, *, patient: bool = True) -> None:
        """Ask a question that changes nothing; somebody who waits for the answer is not patient."""
        self._call(answer if self.siblings.fate(patient=patient) == "ok" else lambda: failed)

    def _outcome(self, good: facts.Fact, bad: facts.Fact, apply: Callable[[], None] | None = None) -> None:
        """A call that is taken, refused, or applied and reported as failed all the same."""
        fate = self.siblings.fate()
        self._call(lambda: good if fate == "ok" else bad, apply if fate != "refused" else None)

    def _cut_off(self) -> None:
        """The process is gone: calls under way still arrive, or do not."""
        in_flight, self._in_flight = self._in_flight, {}
        for apply in in_flight.values():
            if self.engine.chance(0.5):
                apply()
