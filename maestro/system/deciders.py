"""Whether somebody whose decision covers its tag may still decide: asked each time before it is taken.

A token counts while the token file has it, with the role and for the system; somebody the issuer vouched for, until
the credential they decided with ends; a caller without credentials, while such callers are let in.
"""

import asyncio
import time
from collections.abc import Callable

from maestro import logs
from maestro.access.roles import EVERYBODY, NETWORK, Role
from maestro.access.tokens import TokenError, TokenFile
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.settings.model import Settings
from maestro.system.dispatcher import Handlers


class Deciders:
    """Answers `CheckDeciders` for one system."""

    def __init__(self, settings: Settings, system_id: str, feed: Callable[[facts.Fact], None]) -> None:
        self._access = settings.access
        self._tokens = TokenFile(settings.data_dir)
        self._system = system_id
        self._feed = feed
        self._log = logs.get(system=system_id)

    def handlers(self) -> Handlers:
        """Return who carries out which command."""
        return {do.CheckDeciders: self._check}

    def _check(self, command: do.CheckDeciders) -> None:
        problem = next(filter(None, map(self.problem, command.deciders)), "")
        if problem:
            self._log.warning("decision.covers_no_more", reprocessing=command.id, cause=problem)
        asyncio.get_running_loop().call_soon(self._feed, facts.DecidersChecked(command.id, command.token, problem))

    def problem(self, decider: do.Decider) -> str:
        """Return why they may no longer decide; empty: they may."""
        who, now = decider.user, time.time()
        if not self._access.enabled:
            return ""
        if decider.expires is not None and now >= decider.expires:
            return f"{who}: the credential has expired"
        if decider.via == EVERYBODY.via:
            return f"{who} decided without a credential, and credentials are asked for now"
        if decider.via == NETWORK:
            return "" if self._access.approver_networks else f"{who}: no network may decide any more"
        if decider.via == "oidc":
            return "" if self._access.oidc.issuer else f"{who}: there is no issuer any more"
        return self._of_token(decider, now)

    def _of_token(self, decider: do.Decider, now: float) -> str:
        """Return why the token that was decided with may decide no more; empty: it may."""
        try:
            entries = [entry for entry in self._tokens.entries() if entry.id == decider.token]
        except TokenError as problem:
            return str(problem)
        principals = [entry.principal() for entry in entries if not entry.expired(now)]
        may = any(one.has(Role.APPROVER) and one.may_touch(self._system) for one in principals)
        return "" if may else f"{decider.user}: the token may no longer decide about {self._system}"
