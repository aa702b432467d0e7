"""What must hold in a simulated cluster, seen from outside: the truth that no node can ask for."""

from collections import Counter

from tests.simulation.engine import Engine, Violation


class Watch:
    """Sees every effect, commit, acknowledgement and answered lock check."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: The process that opened each system last: what it does is right, and what others do is not.
        self.opened: dict[str, str] = {}
        #: Systems with a run whose effects have begun, and since when: `proceed` is refused for them.
        self.locked_since: dict[str, float] = {}
        self.counts = Counter[str]()

    def opens(self, system_id: str, life: str) -> None:
        """A process has become the owner of a system's store."""
        self.opened[system_id] = life

    def acts(self, what: str, system_id: str, life: str, *, holds: bool) -> None:
        """A process begins an effect, or acknowledges; `holds`: its node's lease was not broken."""
        self.counts[what] += 1
        if self.opened.get(system_id) != life:
            raise Violation(f"{what} for {system_id} by {life}, which {self.opened.get(system_id)} has taken over")
        if not holds:
            raise Violation(f"{what} for {system_id} by {life}, whose node's lease is broken")

    def locked(self, system_id: str) -> None:
        """The first effect of a run with lock begins."""
        self.locked_since.setdefault(system_id, self._engine.now)

    def unlocked(self, system_id: str) -> None:
        """The commit that ends a run is made."""
        self.locked_since.pop(system_id, None)

    def answered(self, where: str, system_id: str, asked: float) -> None:
        """A lock check was answered with 200: right if that was so at any moment since it was asked."""
        self.counts[f"{where} checks"] += 1
        since = self.locked_since.get(system_id)
        if since is not None and since < asked:
            raise Violation(f"{where} check of {system_id}: 200, and it is locked since {since:.3f}")

    def accepted(self, system_id: str, life: str, owner: str) -> None:
        """The database takes a commit."""
        self.counts["commits"] += 1
        if life != owner:
            raise Violation(f"a commit of {life} is taken for {system_id}, which is {owner}'s")

    def refused(self, system_id: str, unchanged: bool) -> None:  # noqa: FBT001 - a statement
        """The database refuses a commit."""
        self.counts["fenced"] += 1
        if not unchanged:
            raise Violation(f"a commit that was refused changed {system_id}")
