"""The processes that the sandbox's systems have installed: those of every story."""

from collections.abc import Mapping
from typing import Final

from maestro.sandbox.meters.processes import METERS
from maestro.sandbox.processes import Process
from maestro.sandbox.quotes.processes import QUOTES

PROCESSES: Final[Mapping[str, Process]] = {process.name: process for process in (*QUOTES, *METERS)}
