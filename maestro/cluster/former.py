"""Whether the lease of a node's former life is renewed all the same: this machine may be the copy of one that lives."""

from collections.abc import Iterable

from maestro.cluster.lease import Terms
from maestro.cluster.node import Lease, Node


class FormerLife:
    """The lease of a life of which nothing goes on here, watched before it is given up."""

    def __init__(self, lease: Lease, terms: Terms) -> None:
        self.lease = lease
        #: A beat came: it is another machine's.
        self.renewed = False
        self._terms = terms
        #: The beat that it was seen with first, when that was known, and when it was last asked for and still the same.
        self._seen: tuple[int, float, float] | None = None

    def see(self, nodes: Iterable[Node], asked: float, answered: float) -> None:
        """Take what a look found that was asked and answered then, on this node's clock.

        A look says what was so at some moment between the two. So the watch begins with the first answer, and has
        come as far as to the last question.
        """
        found = next((node for node in nodes if node.holds_lease and node.lease == self.lease), None)
        if found is None:
            return
        beat, since, _ = self._seen or (found.beat, answered, asked)
        self._seen = beat, since, asked
        self.renewed = self.renewed or beat != found.beat

    @property
    def over(self) -> bool:
        """Whether nobody renews it: one that lives does so within a beat and the time of its answer."""
        if self._seen is None or self.renewed:
            return False
        _, since, until = self._seen
        return until - since >= self._terms.beat_every + self._terms.answer_within
