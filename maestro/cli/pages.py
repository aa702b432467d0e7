"""A page of each system that is meant. What a system that does not answer has is not known, which is not nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from maestro.cli.exits import EXIT_UNREACHABLE
from maestro.cli.session import Session
from maestro.client.errors import ClientError
from maestro.client.finding import systems_of
from maestro.client.transport import Reply
from maestro.language import t, told

T = TypeVar("T")


@dataclass
class Pages(Generic[T]):
    """The pages of the systems that answered; iterated, each with its system."""

    answered: list[tuple[str, T]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Yield each system that answered, with its page."""
        return iter(self.answered)

    def empty(self, text: str) -> str:
        """Return what to say where there are no rows: `text` only when all systems answered."""
        return none_known(self.unanswered) if self.unanswered else text

    @property
    def code(self) -> int:
        """The exit code: it tells apart that there is nothing, and that it is not known."""
        return EXIT_UNREACHABLE if self.unanswered else 0


def none_known(unanswered: list[str]) -> str:
    """Say that the list is empty because these systems do not answer, or beside that."""
    return t("nothing of the systems that answer; not known: {systems}", systems=", ".join(unanswered))


def pages_of(session: Session, system: str, page: Callable[[str], T]) -> Pages[T]:
    """Return a page of each system that is meant; one that does not answer is told of, when all are asked."""
    found = Pages[T]()
    for one in systems_of(session.maestro, system):
        try:
            found.answered.append((one, page(one)))
        except ClientError as problem:
            if system:
                raise
            found.unanswered.append(one)
            session.out.note(f"{one}: {told(str(problem))}")
    return found


def printed(session: Session, system: str, pages: Pages[Reply[Any]]) -> bool:
    """Print JSON where that is asked for: the page of the system named, or an object of all by system."""
    if not session.out.json:
        return False
    found = pages.answered
    body = found[0][1].raw if system else msgspec.json.encode({one: msgspec.Raw(page.raw) for one, page in found})
    session.out.raw(body)
    return True
