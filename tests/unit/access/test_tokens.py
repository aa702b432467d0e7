"""Tokens: what is kept of them, and whom they stand for."""

import asyncio
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from maestro.access import verifier as verifier_module
from maestro.access.roles import Principal, Role
from maestro.access.shared_tokens import SharedTokens
from maestro.access.throttle import Buckets, address_key
from maestro.access.tokens import TOKEN, TokenEntry, TokenError, TokenFile, encoded, token_id
from maestro.access.verifier import Busy, Refused, Verifier


class Clock:
    def __init__(self, at: float = 1e9) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path)


def test_only_a_hash_is_kept_for_the_owner_only(file: TokenFile) -> None:
    token = file.add("ana", Role.APPROVER)
    assert TOKEN.fullmatch(token)
    content = file.path.read_text()
    assert token not in content
    assert token.split("_", 2)[2] not in content
    assert "$argon2id$" in content
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["", "a b", "x" * 101, "a\nb", "a/b"])
def test_names_are_checked(file: TokenFile, name: str) -> None:
    with pytest.raises(TokenError, match="NAME"):
        file.add(name, Role.VIEWER)


@pytest.mark.parametrize("name", ["platform", "Maestro"])
def test_no_name_stands_for_what_no_person_decided(file: TokenFile, name: str) -> None:
    with pytest.raises(TokenError, match="no person"):
        file.add(name, Role.APPROVER)


def test_a_name_stands_for_one_token(file: TokenFile) -> None:
    file.add("ana", Role.VIEWER)
    with pytest.raises(TokenError, match="already"):
        file.add("ana", Role.ADMIN)
    file.revoke("ana")
    file.add("ana", Role.ADMIN)
    with pytest.raises(TokenError, match="no token"):
        file.revoke("ben")
    assert [entry.role for entry in file.entries()] == [Role.ADMIN]


async def test_a_copy_of_shared_tokens_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    class Tables:
        async def tokens(self) -> tuple[int, bytes]:
            return 1, encoded([])

    (tmp_path / "access").write_text("no folder")
    with pytest.raises(TokenError, match=r"tokens\.json: cannot be written: Not a directory"):
        await SharedTokens(Tables()).begin(tmp_path)  # type: ignore[arg-type]  # as much of it as is asked


def test_a_damaged_file_is_named(file: TokenFile) -> None:
    file.add("ana", Role.VIEWER)
    file.path.write_text("{")
    with pytest.raises(TokenError, match=r"tokens\.json: is damaged"):
        file.entries()


def test_which_tokens_are_revoked(file: TokenFile) -> None:
    id_ = token_id(file.add("ana", Role.APPROVER, lifetime=0.001)) or ""
    file.add("ben", Role.APPROVER)
    assert not file.revoked(id_), "one that ended by itself was not revoked"
    file.revoke("ana")
    assert file.revoked(id_)
    file.path.write_text("{")
    assert file.revoked(id_), "what cannot be read is no token"


async def test_verified_once_then_known(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    token = file.add("ana", Role.APPROVER, ("sysA",))
    made = Verifier(file, recheck=60)
    assert made.known(token) is None
    id_ = token_id(token) or ""
    expected = Principal("ana", frozenset({Role.APPROVER}), frozenset({"sysA"}), "token", float("inf"), id_)
    assert await made.verify(token) == expected
    monkeypatch.setattr(verifier_module, "matches", lambda *_: pytest.fail("verified twice"))
    assert made.known(token) == expected
    assert await made.verify(token) == expected
    assert token not in repr(vars(made))


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-2] + ("AA" if token[-2:] != "AA" else "BB"),
        lambda token: token + "x",
        str.upper,
        lambda token: "mst_" + "a" * 12 + token[16:],
        lambda _: "x",
        lambda token: token * 300,
    ],
)
async def test_what_is_no_token_is_refused(file: TokenFile, change: object) -> None:
    token = file.add("ana", Role.APPROVER)
    with pytest.raises(Refused) as refused:
        await Verifier(file, recheck=60).verify(change(token))
    assert token.split("_", 2)[2] not in str(refused.value)


async def test_an_unknown_id_costs_no_hashing(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_module, "matches", lambda *_: pytest.fail("hashed"))
    with pytest.raises(Refused):
        await Verifier(file, recheck=60).verify("mst_" + "a" * 12 + "_" + "b" * 43)


async def test_it_ends_by_itself_although_it_is_remembered(file: TokenFile) -> None:
    clock = Clock()
    token = file.add("ana", Role.APPROVER, lifetime=100)
    clock.at = file.entries()[0].created
    made = Verifier(file, recheck=1000, clock=clock)
    await made.verify(token)
    clock.at += 99
    assert made.known(token)
    clock.at += 2
    assert made.known(token) is None
    with pytest.raises(Refused, match="expired"):
        await made.verify(token)


async def test_a_revoked_one_ends_within_seconds_and_others_stay(file: TokenFile) -> None:
    clock = Clock()
    ana, ben = file.add("ana", Role.APPROVER), file.add("ben", Role.VIEWER)
    made = Verifier(file, recheck=1000, clock=clock)
    await made.verify(ana)
    await made.verify(ben)
    file.revoke("ana")
    clock.at += 2
    assert made.known(ana) is None
    with pytest.raises(Refused):
        await made.verify(ana)
    assert (await made.verify(ben)).name == "ben"


async def test_a_look_that_fails_once_locks_nobody_out(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    token = file.add("ana", Role.APPROVER)
    made = Verifier(file, recheck=1000, clock=clock)
    await made.verify(token)
    file.add("ben", Role.VIEWER)  # the file changes

    def fails(_: TokenFile) -> list[TokenEntry]:
        raise TokenError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(TokenFile, "entries", fails)
        clock.at += 2
        assert made.known(token) is None, "what cannot be read is no token"
    clock.at += 2
    assert (await made.verify(token)).name == "ana"


async def test_one_verification_for_all_who_wait_for_it(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    token, calls = file.add("ana", Role.APPROVER), []
    real = verifier_module.matches

    def counted(*arguments: Any) -> bool:
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(verifier_module, "matches", counted)
    made = Verifier(file, recheck=60)
    waiting = [asyncio.create_task(made.verify(token)) for _ in range(40)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who goes away takes it from nobody
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert {getattr(one, "name", "") for one in found[1:]} == {"ana"}
    assert isinstance(found[0], asyncio.CancelledError)
    assert len(calls) == 1
    assert not made._under_way
    assert not made._turns


async def test_a_change_forgets_what_changed_only(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    ana, ben = file.add("ana", Role.APPROVER), file.add("ben", Role.VIEWER)
    made = Verifier(file, recheck=1, clock=clock)
    await made.verify(ana)
    await made.verify(ben)
    monkeypatch.setattr(verifier_module, "matches", lambda *_: pytest.fail("verified again"))
    file.add("eve", Role.VIEWER)
    clock.at += 1000
    assert made.known(ana)
    assert made.known(ben)
    file.revoke("ben")
    clock.at += 2
    assert made.known(ana)
    assert made.known(ben) is None


async def test_guesses_at_one_token_hold_up_no_other(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knows a token's id makes Maestro hash: one at a time, a few in line, and other tokens go on."""
    ana, ben = file.add("ana", Role.APPROVER), file.add("ben", Role.VIEWER)
    real, going = verifier_module.matches, threading.Event()

    def slow(entry: TokenEntry, credential: str) -> bool:
        if entry.name == "ana":
            going.wait(10)
        return real(entry, credential)

    monkeypatch.setattr(verifier_module, "matches", slow)
    made = Verifier(file, recheck=60)
    made.known("")
    guesses = [asyncio.create_task(made.verify(f"{ana[:-4]}{number:04}")) for number in range(20)]
    async with asyncio.timeout(5):
        assert (await made.verify(ben)).name == "ben"
    going.set()
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(one, Busy) for one in outcomes) == 20 - verifier_module.WAITING_PER_TOKEN
    assert sum(isinstance(one, Refused) for one in outcomes) == verifier_module.WAITING_PER_TOKEN
    assert (await made.verify(ana)).name == "ana"


async def test_a_new_one_is_known_within_seconds(file: TokenFile) -> None:
    clock = Clock()
    made = Verifier(file, recheck=1000, clock=clock)
    assert made.known("x") is None
    token = file.add("ana", Role.APPROVER)
    clock.at += 2
    assert (await made.verify(token)).name == "ana"


async def test_memory_is_bounded(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_module, "REMEMBERED", 2)
    made = Verifier(file, recheck=60)
    for name in "abc":
        await made.verify(file.add(name, Role.VIEWER))
        made._next_look = float("inf")
        made._entries = {entry.id: entry for entry in file.entries()}
    assert len(made._known) <= 2


def test_roles_include() -> None:
    admin, approver = (Principal("x", frozenset({role})) for role in (Role.ADMIN, Role.APPROVER))
    assert all(admin.has(role) for role in Role)
    assert approver.has(Role.VIEWER)
    assert not approver.has(Role.PLATFORM)
    assert not Principal("x", frozenset({Role.PLATFORM})).has(Role.VIEWER)
    assert Principal("x", frozenset()).may_touch("s")
    assert not Principal("x", frozenset(), frozenset({"t"})).may_touch("s")


def test_buckets() -> None:
    clock = Clock(0)
    made = Buckets(rate=2, burst=3, kept=2, clock=clock)
    assert [made.take("a") for _ in range(3)] == [0, 0, 0]
    assert made.take("a") == pytest.approx(0.5)
    assert made.take("b") == 0
    clock.at += 0.5
    assert made.take("a") == 0
    made.give_back("a")
    assert made.take("a") == 0
    made.take("c")
    assert len(made._levels) == 2
    clock.at += 100
    made.give_back("a", 0)
    assert "a" not in made._levels


def test_an_ipv6_client_is_its_network() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:2") != address_key("2001:db9::1")
    assert address_key("10.0.0.1") == "10.0.0.1"
    assert address_key(None) == ""
