"""`maestro doctor`."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from maestro.cli.config import ConfigFile
from maestro.cli.exits import EXIT_FAILED, EXIT_USAGE, fail
from maestro.cli.plain import plain
from maestro.cli.session import Json, Token, TokenFile
from maestro.client.errors import BadTarget
from maestro.client.target import read_token
from maestro.doctor.finding import Finding, Level, ok, problem, warning
from maestro.language import told

if TYPE_CHECKING:
    from maestro.settings.loading import Loaded

_COLOURS: Final = {
    Level.OK: typer.colors.GREEN,
    Level.WARNING: typer.colors.YELLOW,
    Level.PROBLEM: typer.colors.RED,
}


def doctor(
    config: ConfigFile = None,
    *,
    url: Annotated[
        str, typer.Option(envvar="MAESTRO_URL", metavar="URL", help="Where Maestro is; else as the settings say.")
    ] = "",
    token: Token = "",
    token_file: TokenFile = None,
    pending_hours: Annotated[
        float, typer.Option(min=0, metavar="HOURS", help="A decision that is due for longer is worth a warning.")
    ] = 24.0,
    json: Json = False,
) -> None:
    """Check configuration, Maestro, broker, queues, siblings, stores, reprocessings, processes, disk and clock.

    Reads the same settings as `maestro serve`, works whether Maestro runs or not, and changes nothing. Exit code 1
    when there is a problem; warnings alone are 0.
    """
    try:
        findings = _findings(config, url, token or (read_token(token_file) if token_file else ""), pending_hours)
    except BadTarget as bad:
        fail(told(str(bad)), EXIT_USAGE)
    _report(findings, json=json)
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _findings(config: ConfigFile, url: str, token: str, pending_hours: float) -> list[Finding]:
    from maestro.settings.loading import find_file, load  # noqa: PLC0415 - pydantic takes its time
    from maestro.settings.problems import SettingsError  # noqa: PLC0415 - pydantic takes its time

    try:
        loaded = load(config, os.environ)
    except SettingsError as wrong:
        file = find_file(config, os.environ) or "the environment"
        mend = f"correct {file}; then maestro config check"
        return [problem("configuration", "settings", line, mend) for line in str(wrong).splitlines()]
    return _examined(loaded, url, token, pending_hours)


def _configured(loaded: "Loaded") -> list[Finding]:
    notes = [warning("configuration", "environment", note, "") for note in loaded.notes]
    return [ok("configuration", str(loaded.file or "defaults and environment"), "valid"), *notes]


def _examined(loaded: "Loaded", url: str, token: str, pending_hours: float) -> list[Finding]:
    import structlog  # noqa: PLC0415 - as above

    from maestro.doctor.examination import examine  # noqa: PLC0415 - as above
    from maestro.doctor.site import look  # noqa: PLC0415 - as above

    # What the clients would log is in the findings.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)

    async def looked() -> list[Finding]:
        site = await look(loaded.settings, url, token)
        return [*([] if site.elsewhere else _configured(loaded)), *await examine(site, pending_hours)]

    return asyncio.run(looked())


def _report(findings: Sequence[Finding], *, json: bool) -> None:
    if json:
        import msgspec  # noqa: PLC0415 - only here

        sound = all(finding.level is not Level.PROBLEM for finding in findings)
        typer.echo(msgspec.json.encode({"ok": sound, "findings": findings}))
        return
    levels, checks = (
        max(8, *(len(told(level)) for level in Level)),
        max(14, *(len(told(one.check)) + 1 for one in findings)),
    )
    for finding in findings:
        level = f"{told(finding.level):<{levels}}"
        shown = typer.style(level, _COLOURS[finding.level]) if sys.stdout.isatty() else level
        mend = f" -> {told(finding.mend)}" if finding.mend else ""
        said = plain(f"{told(finding.subject)}: {told(finding.message)}{mend}", limit=2000)
        typer.echo(f"{shown} {told(finding.check):<{checks}}{said}")
