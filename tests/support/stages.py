"""Whether what a step ordered fits the stage that waits for its answer."""

from collections.abc import Iterable

from maestro.rules import commands as do
from maestro.rules import stages
from maestro.rules.document import Stage
from maestro.rules.state import System

_ASKS_FOR_RUN = {kind for kinds in stages.RUN_COMMANDS.values() for kind in kinds}


def check_stages(system: System, commands: Iterable[do.Command]) -> None:
    """Fail if a command that a run's stage waits for was ordered in another stage."""
    for command in commands:
        token = getattr(command, "token", 0)
        if type(command) in _ASKS_FOR_RUN and token:
            doc = system.documents.get(getattr(command, "id"))  # noqa: B009 - commands have no common base with an id
            if doc is not None and doc.token == token and doc.stage not in {None, Stage.OUTAGE}:
                assert doc.stage is not None
                assert type(command) in stages.RUN_COMMANDS[doc.stage], (command, doc.stage)
