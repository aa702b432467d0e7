"""The ways, against doubles of what they lead to: HTTP receivers and a mail server; and what is said when they fail."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from aiohttp import web
from pydantic import SecretStr

from maestro.notify.plan import Step
from maestro.notify.texts import test_message as a_test_message
from maestro.notify.ways import Email, Post, ways_of
from maestro.ports import free_port
from maestro.settings.model import WebhookSettings
from maestro.settings.notify import ChatSettings, EmailSettings, NotifySettings
from maestro.webhooks.sender import Sender
from maestro.webhooks.signature import HEADER, verify
from tests.support.mail import MailServer

MESSAGE = a_test_message("en", "")
SECRET = "a secret of the test, long enough"
MAIL = {"host": "localhost", "sender": "maestro@example.org", "to": ["a@example.org", "b@example.org"]}


class Receiver:
    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, str]] = []
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.path, await request.read(), request.headers.get(HEADER, "")))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"} if self.status == 302 else None)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield receiver, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def settings(**more: Any) -> NotifySettings:
    return NotifySettings.model_validate({"timeout": 2} | more)


def test_what_has_no_address_is_no_way() -> None:
    assert ways_of(settings()) == []


async def test_each_webhook_gets_its_form_and_escalations_go_where_they_should() -> None:
    async with receiving() as (receiver, url):
        ways = ways_of(settings(
            slack={"url": f"{url}/slack/t0ken", "escalate_url": f"{url}/boss/t0ken"},
            teams={"url": f"{url}/teams/t0ken"},
            webhook={"url": f"{url}/own/t0ken", "secret": SECRET},
        ))  # fmt: skip
        assert [way.name for way in ways] == ["slack", "teams", "webhook"]
        assert all("t0ken" not in way.shown for way in ways)
        for step in (Step.FIRST, Step.ESCALATION, None):
            assert [await way.send(MESSAGE, step) for way in ways] == ["", "", ""]
    assert [path for path, _, _ in receiver.got] == [
        "/slack/t0ken", "/teams/t0ken", "/own/t0ken", "/boss/t0ken", "/teams/t0ken", "/own/t0ken",
        "/slack/t0ken", "/teams/t0ken", "/own/t0ken",
    ]  # fmt: skip
    _, body, signature = receiver.got[2]
    verify(SECRET, body, signature)
    assert [bool(signed) for _, _, signed in receiver.got[:2]] == [False, False]


async def test_a_host_that_cannot_even_be_looked_up_is_a_problem_and_no_bug() -> None:
    chat = ChatSettings.model_construct(url=SecretStr("http://a..b/t0ken"), escalate_url=SecretStr(""))
    problem = await Post("slack", chat, 2, lambda *_: b"{}").send(MESSAGE, None)
    assert problem
    assert "t0ken" not in problem
    mail = EmailSettings.model_construct(host="a..b", sender="a@b.org", to=("c@d.org",))
    assert await Email(mail, 2).check()
    hooks = WebhookSettings.model_construct(urls=("http://a..b/t0ken",), secret=SecretStr(SECRET), timeout=2)
    async with Sender("http://a..b/t0ken", hooks) as sender:
        problem = await sender.send(b"{}")
    assert problem
    assert "t0ken" not in problem


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
async def test_anything_but_a_success_has_not_arrived(status: int) -> None:
    async with receiving() as (receiver, url):
        receiver.status = status
        [way] = ways_of(settings(slack={"url": f"{url}/t0ken"}))
        problem = await way.send(MESSAGE, None)
    assert problem == f"{url}/…: status {status}"
    assert len(receiver.got) == 1, "no redirect is followed"


async def test_who_is_not_there_is_named_without_the_secret() -> None:
    [way] = ways_of(settings(slack={"url": f"http://127.0.0.1:{free_port()}/t0ken"}))
    problem = await way.send(MESSAGE, None)
    assert "127.0.0.1" in problem
    assert "t0ken" not in problem


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context for localhost, by an authority that clients trust."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: trusted)
    return context


async def sent(server: MailServer, step: Step | None = None, **more: Any) -> str:
    made = EmailSettings.model_validate(MAIL | {"port": server.port, "security": "none"} | more)
    return await Email(made, 5.0).send(MESSAGE, step)


async def test_an_email_arrives_and_an_escalation_goes_to_others() -> None:
    async with MailServer() as server:
        assert await sent(server) == ""
        assert await sent(server, Step.ESCALATION, escalate_to=["boss@example.org"]) == ""
        assert await sent(server, Step.ESCALATION) == ""
    assert server.to == [["a@example.org", "b@example.org"], ["boss@example.org"], ["a@example.org", "b@example.org"]]
    assert server.got[0]["Subject"] == "Maestro: This is a test: notices arrive here"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_over_tls_with_a_login(tls: ssl.SSLContext, security: str) -> None:
    async with MailServer(tls, security=security, user="maestro", password="hunter2") as server:
        assert await sent(server, security=security, user="maestro", password="hunter2") == ""
        problem = await sent(server, security=security, user="maestro", password="wrong-one")
        assert "refuses the login" in problem
        assert "wrong-one" not in problem
    assert len(server.got) == 1


async def test_a_password_is_never_sent_in_clear_text() -> None:
    async with MailServer() as server:
        problem = await sent(server, security="starttls", user="maestro", password="hunter2")
        assert "STARTTLS" in problem
        assert server.got == []
    with pytest.raises(ValueError, match="clear text"):
        EmailSettings.model_validate(MAIL | {"security": "none", "user": "maestro", "password": "hunter2"})


async def test_a_certificate_of_somebody_else_is_refused(authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with MailServer(context, security="tls") as server:
        assert "certificate verify failed" in (await sent(server, security="tls")).lower().replace("_", " ")
    assert server.got == []


async def test_what_a_mail_server_says_is_passed_on() -> None:
    async with MailServer() as server:
        server.refuses = "552 mailbox full"
        assert (await sent(server)).endswith(": 552 mailbox full")
        made = EmailSettings.model_validate(MAIL | {"port": server.port, "security": "none"})
        assert await Email(made, 5.0).check() == ""
        assert server.got == []
    assert await Email(made, 2.0).check() != ""
