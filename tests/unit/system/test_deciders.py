"""Who may still decide when a decision that covers its tag is taken."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from maestro.rules.commands import CheckDeciders, Decider
from maestro.rules.facts import DecidersChecked, Fact
from maestro.settings.access import AccessSettings
from maestro.settings.model import Settings
from maestro.system.deciders import Deciders


def problem(folder: Path, who: Decider, **access: Any) -> str:
    settings = Settings(data_dir=folder, access=AccessSettings.model_validate({"enabled": True, **access}))
    return Deciders(settings, "sysA", lambda _fact: None).problem(who)


def decider(user: str = "ana", via: str = "token", expires: float | None = None, token: str = "") -> Decider:
    return Decider(user, "", via, expires, token)


def test_a_token_counts_while_it_is_there(tmp_path: Path) -> None:
    file = TokenFile(tmp_path)
    file.add("ana", Role.APPROVER, ("sysA",))
    file.add("ben", Role.APPROVER, ("sysB",))
    file.add("eve", Role.VIEWER)
    file.add("old", Role.APPROVER, lifetime=-1.0)
    ids = {entry.name: entry.id for entry in file.entries()}
    ana = decider("ana", token=ids["ana"])
    assert problem(tmp_path, ana) == ""
    for user in ("ben", "eve", "old", "nobody"):
        said = problem(tmp_path, decider(user, token=ids.get(user, "x")))
        assert said == f"{user}: the token may no longer decide about sysA"
    file.revoke("ana")
    file.add("ana", Role.APPROVER)  # another token of the same name is not the one that was decided with
    assert "ana" in problem(tmp_path, ana)


def test_tokens_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    (tmp_path / "access").mkdir()
    (tmp_path / "access" / "tokens.json").write_text("{")
    assert "is damaged" in problem(tmp_path, decider())


def test_others(tmp_path: Path) -> None:
    oidc = {"oidc": {"issuer": "https://issuer", "audience": "maestro"}}
    later = time.time() + 60
    assert problem(tmp_path, decider(via="oidc", expires=later), **oidc) == ""
    assert "expired" in problem(tmp_path, decider(via="oidc", expires=time.time() - 1), **oidc)
    assert "issuer" in problem(tmp_path, decider(via="oidc", expires=later))
    assert problem(tmp_path, decider(via="network"), approver_networks=["10.0.0.0/8"]) == ""
    assert "network" in problem(tmp_path, decider(via="network"))
    assert "without a credential" in problem(tmp_path, decider(via="open"))
    assert problem(tmp_path, decider(via="open"), enabled=False) == ""


@pytest.mark.parametrize(("second", "said"), [(True, ""), (False, "eve: the token may no longer decide about sysA")])
async def test_one_who_may_not_is_enough(tmp_path: Path, second: bool, said: str) -> None:  # noqa: FBT001 - a case
    TokenFile(tmp_path).add("ana", Role.APPROVER)
    (entry,) = TokenFile(tmp_path).entries()
    ana = decider(token=entry.id)
    answers: asyncio.Queue[Fact] = asyncio.Queue()
    settings = Settings(data_dir=tmp_path, access=AccessSettings(enabled=True))
    handlers = Deciders(settings, "sysA", answers.put_nowait).handlers()
    handlers[CheckDeciders](CheckDeciders("d1", 7, (ana, ana if second else decider("eve"))))
    assert answers.empty()
    async with asyncio.timeout(5):
        assert await answers.get() == DecidersChecked("d1", 7, said)
