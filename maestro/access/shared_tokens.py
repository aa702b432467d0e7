"""Tokens where the stores are in PostgreSQL: they are there, and each node has a copy in its own token file.

The copy is what requests are checked against, in the gateway as in the systems' processes, so it costs no request a
question to the database. It is looked at once a second: a token that is revoked ends on all nodes within seconds. While
PostgreSQL is away the copy stands, and a node whose lease is over decides nothing with it.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from maestro import logs, whole_file
from maestro.access.roles import Role
from maestro.access.tokens import TokenEntry, TokenError, TokenFile, added, check_name, decoded, encoded, revoke_from
from maestro.store.base import StoreError
from maestro.store.postgres.gateway import GatewayTables

T = TypeVar("T")

#: Seconds between two looks whether the tokens have changed.
LOOK_EVERY: Final = 1.0
#: Beside the token file: the digest of the last copy, and a folder's own tokens, which do not hold any more.
_COPIED: Final = "tokens.copied"
_ASIDE: Final = "tokens.own.json"
#: Times that a change is tried again because another one came first.
_TRIES: Final = 20


class SharedTokens:
    """The tokens of an installation in PostgreSQL. All raise `TokenError`."""

    def __init__(self, tables: GatewayTables) -> None:
        self._tables = tables

    async def entries(self) -> list[TokenEntry]:
        """Read all of them."""
        return (await self._read())[1]

    async def add(self, name: str, role: Role, systems: tuple[str, ...] = (), lifetime: float | None = None) -> str:
        """Make a token and return it; see `TokenFile.add`."""
        check_name(name)
        return await self._change(lambda entries: added(entries, name, role, systems, lifetime))

    async def revoke(self, name: str) -> None:
        """Remove the token of that name (or id)."""
        await self._change(lambda entries: revoke_from(entries, name))

    async def _change(self, change: Callable[[list[TokenEntry]], T]) -> T:
        for _ in range(_TRIES):
            version, entries = await self._read()
            result = change(entries)
            try:
                if await self._tables.put_tokens(version, encoded(entries)):
                    return result
            except StoreError as problem:
                raise TokenError(str(problem)) from problem
        raise TokenError("PostgreSQL: the tokens are being changed by others")

    async def _read(self) -> tuple[int, list[TokenEntry]]:
        try:
            version, body = await self._tables.tokens()
            return version, decoded(body) if version else []
        except StoreError as problem:
            raise TokenError(str(problem)) from problem
        except msgspec.DecodeError as problem:
            raise TokenError(f"PostgreSQL: the tokens are damaged: {problem}") from problem

    # --- the copy ---------------------------------------------------------------------------------------------------

    async def begin(self, data_dir: Path) -> None:
        """Have the copy there. The tokens of a data folder whose stores moved to PostgreSQL are taken along, once.

        Those of a folder that comes later do not hold: they are kept in another file, and a warning names them.

        Raises:
            TokenError: PostgreSQL is away, or the copy cannot be made.
        """
        file = TokenFile(data_dir)
        version, entries = await self._read()
        if version:
            _set_aside(file, entries)
        if not version and (own := file.entries()):
            try:
                await self._tables.put_tokens(0, encoded(own))
            except StoreError as problem:
                raise TokenError(str(problem)) from problem
            version, entries = await self._read()
        try:
            _copy(file, entries)
        except OSError as problem:
            raise TokenError(f"{file.path}: cannot be written: {problem.strerror}") from problem

    async def follow(self, data_dir: Path) -> None:
        """Keep the copy up to date, for as long as it is wanted."""
        file, log = TokenFile(data_dir), logs.get(part="access")
        copied, away = -1, False
        while True:
            try:
                version = await self._tables.tokens_version()
                if version != copied:
                    version, entries = await self._read()
                    await asyncio.to_thread(_copy, file, entries)
                    copied = version
                away = False
            except (StoreError, TokenError, OSError) as problem:
                if not away:
                    log.warning("access.tokens_not_followed", cause=str(problem))
                away = True
            await asyncio.sleep(LOOK_EVERY)


def _copy(file: TokenFile, entries: list[TokenEntry]) -> None:
    try:
        same = file.entries() == entries
    except TokenError:
        file.path.unlink(missing_ok=True)  # it is a copy: a damaged one is made again
        same = False
    if not same:
        file.replace(entries)
    if file.path.exists() and not _is_copy(file):
        whole_file.replace(file.path.with_name(_COPIED), _print(file), sync=True)


def _set_aside(file: TokenFile, shared: list[TokenEntry]) -> None:
    """Keep a file of the folder's own tokens: the copy takes its place. Raises `TokenError`."""
    try:
        own = [] if _is_copy(file) else file.entries()
    except TokenError:
        return  # nothing of it holds anywhere
    known = {entry.id for entry in shared}
    if lost := [entry.name for entry in own if entry.id not in known]:
        aside = file.path.with_name(_ASIDE)
        try:
            file.path.replace(aside)
        except OSError as problem:
            raise TokenError(f"{file.path}: cannot be renamed: {problem.strerror}") from problem
        logs.get(part="access").warning("access.tokens_set_aside", tokens=lost, kept=str(aside))


def _is_copy(file: TokenFile) -> bool:
    """Whether the file is as it was copied last."""
    try:
        return file.path.with_name(_COPIED).read_bytes() == _print(file)
    except OSError:
        return False


def _print(file: TokenFile) -> bytes:
    return hashlib.sha256(file.path.read_bytes()).hexdigest().encode()
