"""Bearer tokens: `mst_<id>_<secret>`. The id finds the entry, only a hash (argon2id) of the whole is kept.

They live in one file, `<data_dir>/access/tokens.json`, readable by its owner only. Where the stores are in PostgreSQL
the tokens are as well, and the file is a copy of them (`shared_tokens`).
"""

import re
import secrets
import time
from pathlib import Path
from typing import Final

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from maestro import whole_file
from maestro.access.private_file import exclusively, private_folder
from maestro.access.roles import Principal, Role, for_a_person

PREFIX: Final = "mst_"
TOKEN: Final = re.compile(r"mst_([a-z0-9]{12})_[A-Za-z0-9_-]{43}")
NAME: Final = re.compile(r"[\w.@+-]{1,100}")
#: Entries one file may have.
MAX_TOKENS: Final = 10_000
_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
#: A token has 256 random bits, no dictionary helps to guess it: OWASP's lightest parameters are plenty.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class TokenError(Exception):
    """Tokens cannot be read, written or used so; the message says why."""


class TokenEntry(msgspec.Struct, frozen=True):
    """What is kept of a token."""

    id: str
    name: str
    role: Role
    #: The systems it is restricted to; empty: all.
    systems: tuple[str, ...]
    #: Seconds since the epoch.
    created: float
    expires: float | None
    hash: str

    def expired(self, at: float) -> bool:
        """Whether it has ended by itself."""
        return self.expires is not None and at >= self.expires

    def principal(self) -> Principal:
        """Return whom it stands for."""
        ends = float("inf") if self.expires is None else self.expires
        return Principal(self.name, frozenset({self.role}), frozenset(self.systems) or None, "token", ends, self.id)


class _Content(msgspec.Struct):
    version: int = 1
    tokens: list[TokenEntry] = []


class TokenFile:
    """The tokens of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "access" / "tokens.json"

    def entries(self) -> list[TokenEntry]:
        """Read all of them. Raises `TokenError`."""
        try:
            return decoded(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise TokenError(f"{self.path}: cannot be read: {problem.strerror}") from problem
        except msgspec.DecodeError as problem:
            raise TokenError(f"{self.path}: is damaged: {problem}") from problem

    def revoked(self, id_: str) -> bool:
        """Whether there is no token of this id any more. One that ended by itself was not revoked."""
        try:
            return all(entry.id != id_ for entry in self.entries())
        except TokenError:  # tokens that cannot be read are no tokens
            return True

    def mark(self) -> tuple[int, int, int] | None:
        """Return what changes whenever the file is replaced; None without one."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def add(self, name: str, role: Role, systems: tuple[str, ...] = (), lifetime: float | None = None) -> str:
        """Make a token, `lifetime` seconds long, and return it: the only time it can be seen. Raises `TokenError`."""
        check_name(name)
        with self._changing() as entries:
            return added(entries, name, role, systems, lifetime)

    def revoke(self, name: str) -> None:
        """Remove the token of that name (or id). Raises `TokenError`."""
        with self._changing() as entries:
            revoke_from(entries, name)

    def replace(self, entries: list[TokenEntry]) -> None:
        """Have these tokens and no others. Raises `OSError`."""
        with self._changing() as own:
            own[:] = entries

    def _changing(self) -> "_Change":
        return _Change(self)


class _Change:
    """Reads the entries, and writes them back when nothing was raised; one process at a time."""

    def __init__(self, file: TokenFile) -> None:
        self._file = file
        self._lock = exclusively(private_folder(file.path.parent) / ".tokens.lock")
        self._entries: list[TokenEntry] = []

    def __enter__(self) -> list[TokenEntry]:
        self._lock.__enter__()
        try:
            self._entries = self._file.entries()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self._entries

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                whole_file.replace(self._file.path, encoded(self._entries), sync=True)
        finally:
            self._lock.__exit__(None, None, None)


def encoded(entries: list[TokenEntry]) -> bytes:
    """Return tokens as they are kept."""
    return msgspec.json.format(msgspec.json.encode(_Content(1, entries)))


def decoded(content: bytes) -> list[TokenEntry]:
    """Return the tokens that are kept so. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(content, type=_Content).tokens


def check_name(name: str) -> None:
    """Raise `TokenError` if a token cannot be named so."""
    if not NAME.fullmatch(name):
        raise TokenError("NAME: must be 1 to 100 letters, digits or one of . _ @ + -")
    if not for_a_person(name):
        raise TokenError(f"NAME: {name} stands for what no person decided")


def added(
    entries: list[TokenEntry], name: str, role: Role, systems: tuple[str, ...] = (), lifetime: float | None = None
) -> str:
    """Add a token to the others, and return it. Raises `TokenError`."""
    if any(entry.name == name for entry in entries):
        raise TokenError(f"there is a token named {name!r} already; revoke it first")
    if len(entries) >= MAX_TOKENS:
        raise TokenError(f"there are {MAX_TOKENS} tokens already")
    id_ = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
    token = f"{PREFIX}{id_}_{secrets.token_urlsafe(32)}"
    now = time.time()
    expires = None if lifetime is None else now + lifetime
    entries.append(TokenEntry(id_, name, role, systems, now, expires, _HASHER.hash(token)))
    return token


def revoke_from(entries: list[TokenEntry], name: str) -> None:
    """Remove the token of that name, or id. Raises `TokenError`."""
    left = [entry for entry in entries if name not in (entry.name, entry.id)]
    if len(left) == len(entries):
        raise TokenError(f"there is no token named {name!r}")
    entries[:] = left


def token_id(credential: str) -> str | None:
    """Return the id in a token; None when it is none."""
    found = TOKEN.fullmatch(credential)
    return found[1] if found else None


def matches(entry: TokenEntry, credential: str) -> bool:
    """Whether the token is the one the entry was made for. Takes tens of milliseconds of processor time."""
    try:
        return _HASHER.verify(entry.hash, credential)
    except (VerificationError, InvalidHashError):
        return False
