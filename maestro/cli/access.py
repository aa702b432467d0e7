"""`maestro token …` and `maestro audit …`."""

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

import typer

from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.filled import filled
from maestro.language import t, tn, told

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from maestro.access.shared_tokens import SharedTokens
    from maestro.access.tokens import TokenEntry, TokenFile
    from maestro.settings.model import Settings
    from maestro.store.postgres.gateway import GatewayTables

T = TypeVar("T")
#: Number and hash of a log's last line.
Verified = tuple[int, str]

#: Exit code when what was asked for cannot be done.
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_UNITS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_ROLES: Final = ("platform", "viewer", "approver", "admin")

token = typer.Typer(help="Tokens for the gateway.", no_args_is_help=True)
audit = typer.Typer(help="The record of what was decided.", no_args_is_help=True)


@token.command()
def add(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Whose it is: stands in documents and in the audit log.", callback=filled),
    ],
    role: Annotated[str, typer.Option(help=f"One of {', '.join(_ROLES)}.")],
    system: Annotated[
        list[str] | None, typer.Option(help="Only this system (may be repeated); else all.", callback=filled)
    ] = None,
    expires: Annotated[str, typer.Option(help="When it ends by itself: 30m, 12h, 90d, 52w; else never.")] = "",
    config: ConfigFile = None,
) -> None:
    """Make a token and print it, once: only its hash is kept. A running Maestro knows it within seconds."""
    from maestro.access.roles import Role  # noqa: PLC0415 - keeps `maestro --help` fast
    from maestro.access.tokens import TokenError  # noqa: PLC0415 - as above
    from maestro.events import BadInput, check_system_id  # noqa: PLC0415 - as above

    settings = loaded_or_exit(config).settings
    data_dir = settings.data_dir
    if role not in _ROLES:
        _end(t("--role: must be one of {roles}", roles=", ".join(_ROLES)), EXIT_USAGE)
    try:
        systems = tuple(check_system_id(one, "--system") for one in system or ())
        new = not data_dir.exists()
        given = (name, Role(role), systems, _seconds(expires))
        typer.echo(_on_tokens(settings, lambda file: file.add(*given), lambda shared: shared.add(*given)))
        if new and data_dir.exists() and os.geteuid() == 0:
            said = t(
                "the data folder {folder} is new and root's: a Maestro that runs as another user cannot read it; make "
                "that user its owner, and this token again",
                folder=data_dir.absolute(),
            )
            typer.echo(f"maestro: {said}", err=True)
    except BadInput as problem:
        _end(told(str(problem)), EXIT_USAGE)
    except (TokenError, OSError) as problem:
        _end_failed(problem)


@token.command("list")
def list_(config: ConfigFile = None) -> None:
    """List the tokens there are, without what is secret of them."""
    from maestro.access.tokens import TokenError  # noqa: PLC0415 - keeps `maestro --help` fast
    from maestro.cli.output import Output  # noqa: PLC0415 - as above

    settings = loaded_or_exit(config).settings
    try:
        entries = _on_tokens(settings, lambda file: file.entries(), lambda shared: shared.entries())
    except TokenError as problem:
        _end_failed(problem)
    now = datetime.now(UTC).timestamp()
    rows = (
        (one.name, one.role, ",".join(one.systems) or t("all"), _local(one.created), _ends(one, now), one.id)
        for one in entries
    )
    Output(json=False).table(("NAME", "ROLE", "SYSTEMS", "MADE", "ENDS", "ID"), rows, t("there are no tokens"))


@token.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name, or its id.", callback=filled)],
    config: ConfigFile = None,
) -> None:
    """Take a token away: a running Maestro refuses it within seconds."""
    from maestro.access.tokens import TokenError  # noqa: PLC0415 - keeps `maestro --help` fast

    settings = loaded_or_exit(config).settings
    try:
        _on_tokens(settings, lambda file: file.revoke(name), lambda shared: shared.revoke(name))
    except (TokenError, OSError) as problem:
        _end_failed(problem)
    typer.echo(t("{name}: revoked", name=name))


@audit.command()
def export(
    since: Annotated[str, typer.Option(help="Only from then on: 2026-01-31 or 2026-01-31T12:00:00 (UTC).")] = "",
    *,
    refused: Annotated[bool, typer.Option("--refused", help="What was refused, instead of decided.")] = False,
    config: ConfigFile = None,
) -> None:
    """Print the audit log as JSON lines, oldest first. Maestro may be running."""
    from maestro.access.audit import AuditError  # noqa: PLC0415 - keeps `maestro --help` fast

    start = _moment(since)
    settings = loaded_or_exit(config).settings
    try:
        if settings.store.url.get_secret_value():
            _with_tables(settings, lambda tables: _export_shared(tables, start, refused=refused))
        else:
            _export_own(settings, start, refused=refused)
    except AuditError as problem:
        _end_failed(problem)


def _export_own(settings: "Settings", start: float, *, refused: bool) -> None:
    from maestro.access import audit_reader  # noqa: PLC0415 - keeps `maestro --help` fast

    for line in audit_reader.lines(audit_reader.existing(settings.data_dir, refused=refused)):
        _print_line(line, start)


async def _export_shared(tables: "GatewayTables", start: float, *, refused: bool) -> None:
    from maestro.access.shared_audit import DECISIONS, REFUSED, shared_lines  # noqa: PLC0415 - keeps `--help` fast

    async for line in shared_lines(tables, REFUSED if refused else DECISIONS):
        _print_line(line, start)


def _print_line(line: "dict[str, Any]", start: float) -> None:
    import orjson  # noqa: PLC0415 - keeps `maestro --help` fast

    if line["at"] >= start:
        typer.echo(orjson.dumps(line))


@audit.command()
def verify(config: ConfigFile = None) -> None:
    """Check that no line was changed, removed or put in; exit with 1 if one was, or the log cannot be read."""
    from maestro.access.audit import AuditError  # noqa: PLC0415 - keeps `maestro --help` fast

    settings = loaded_or_exit(config).settings
    try:
        if settings.store.url.get_secret_value():
            (number, head), (refusals, _) = _with_tables(settings, _verified_shared)
        else:
            (number, head), (refusals, _) = _verified_own(settings)
    except AuditError as problem:
        _end_failed(problem)
    typer.echo(
        tn(
            "{n} line is whole; the last one's hash is {hash}",
            "{n} lines are whole; the last one's hash is {hash}",
            number,
            hash=head,
        )
    )
    if refusals:
        typer.echo(tn("{n} line of refused attempts is whole", "{n} lines of refused attempts are whole", refusals))


def _verified_own(settings: "Settings") -> "tuple[Verified, Verified]":
    from maestro.access import audit_reader  # noqa: PLC0415 - keeps `maestro --help` fast

    decisions = audit_reader.existing(settings.data_dir)
    return audit_reader.verify(decisions), audit_reader.verify(decisions / "refused")


async def _verified_shared(tables: "GatewayTables") -> "tuple[Verified, Verified]":
    from maestro.access.shared_audit import DECISIONS, REFUSED, verify_shared  # noqa: PLC0415 - keeps `--help` fast

    return await verify_shared(tables, DECISIONS), await verify_shared(tables, REFUSED)


def _on_tokens(
    settings: "Settings",
    of_file: "Callable[[TokenFile], T]",
    of_shared: "Callable[[SharedTokens], Coroutine[Any, Any, T]]",
) -> "T":
    """Do something with the tokens, where they are. Raises `TokenError`."""
    from maestro.access.tokens import TokenError, TokenFile  # noqa: PLC0415 - keeps `maestro --help` fast

    if not settings.store.url.get_secret_value():
        return of_file(TokenFile(settings.data_dir))
    from maestro.access.shared_tokens import SharedTokens  # noqa: PLC0415 - needs the extra `postgresql`
    from maestro.store.base import StoreError  # noqa: PLC0415 - as above

    async def done(tables: "GatewayTables") -> "T":
        try:
            await tables.make()
        except StoreError as problem:
            raise TokenError(str(problem)) from problem
        return await of_shared(SharedTokens(tables))

    return _with_tables(settings, done)


def _with_tables(settings: "Settings", work: "Callable[[GatewayTables], Coroutine[Any, Any, T]]") -> "T":
    import asyncio  # noqa: PLC0415 - keeps `maestro --help` fast

    from maestro.store.postgres.gateway import GatewayTables  # noqa: PLC0415 - needs the extra `postgresql`

    async def done() -> "T":
        tables = GatewayTables(settings.store.url.get_secret_value(), settings.store.timeout)
        try:
            return await work(tables)
        finally:
            await tables.close()

    return asyncio.run(done())


def _seconds(text: str) -> float | None:
    if not text:
        return None
    span = _SPAN.fullmatch(text)
    if span is None:
        _end(t("--expires: must be a number and m, h, d or w, for instance 90d"), EXIT_USAGE)
    return float(span[1]) * _UNITS[span[2]]


def _moment(text: str) -> float:
    if not text:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _end(t("--since: must be a day or a time such as 2026-01-31T12:00:00"), EXIT_USAGE)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _ends(entry: "TokenEntry", now: float) -> str:
    if entry.expires is None:
        return t("never")
    return _local(entry.expires) + (t(" (expired)") if entry.expired(now) else "")


def _local(at: float) -> str:
    from maestro.cli.plain import local  # noqa: PLC0415 - keeps `maestro --help` fast

    return local(datetime.fromtimestamp(at, UTC).isoformat())


def _end_failed(problem: Exception) -> NoReturn:
    from maestro.cli.exits import in_words  # noqa: PLC0415 - keeps `maestro --help` fast

    _end(in_words(problem), EXIT_FAILED)


def _end(message: str, code: int) -> NoReturn:
    from maestro.cli.exits import fail  # noqa: PLC0415 - keeps `maestro --help` fast

    fail(message, code)
