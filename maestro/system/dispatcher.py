"""Who carries out which command of the rules."""

from collections.abc import Callable, Mapping
from typing import Any

from maestro.rules.commands import Command

#: By the command's own class: asking each in turn whether a command is one of its own costs more than most of them do.
Handlers = Mapping[type[Command], Callable[[Any], None]]
