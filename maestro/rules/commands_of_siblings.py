"""What is ordered to find out about siblings and committed instances, part of `commands`, which offers them all."""

from typing import ClassVar

from maestro.rules.command import Command, Needs


class AskFootprint(Command, frozen=True):
    """Ask Domain which rows an event's commit would change, while a look is awaited. Answered by `FootprintFound`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    token: int
    instance_id: str


class AskCanary(Command, frozen=True):
    """Ask a sibling something that it answered before. Answered by `CanaryAsked`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    #: Who suspects it: see `System.troubles`.
    what: str
    token: int
    sibling: str


# --- to API core and Discovery: what is committed becomes visible ----------------------------------------------


class Look(Command, frozen=True):
    """Ask API core once what it calls an instance. Answered by `Looked` or `LookFailed`."""

    needs: ClassVar[Needs] = Needs.NOTHING
    key: str
    token: int
    instance_id: str


class SetFinished(Command, frozen=True):
    """Call an instance `finished` in API core, in one try.

    Answered by `FinishedSet`, `FinishedRefused` or `LookFailed`.
    The instance's commit is recorded first: what is called finished must be so.
    """

    key: str
    token: int
    instance_id: str


class AskAgain(Command, frozen=True):
    """Ask Discovery about an instance that is committed, and API core after it.

    Answered by `AskedAgain` or `AskAgainFailed`.
    """

    needs: ClassVar[Needs] = Needs.NOTHING
    key: str
    token: int
    instance_id: str
