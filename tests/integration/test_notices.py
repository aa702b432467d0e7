"""Notices out of the whole service: what waits is told by webhook and e-mail, once, and not again after a crash."""

from pathlib import Path
from typing import Any

from maestro.ports import free_port
from tests.integration.test_webhooks import SECRET, receiving
from tests.support.cli import maestro
from tests.support.mail import MailServer
from tests.support.stage import event, eventually, stage, unit


async def test_what_waits_is_told_once_also_over_a_crash(tmp_path: Path) -> None:
    async with receiving() as (receiver, url), MailServer() as mail:
        environ = {
            "MAESTRO_NOTIFY__EVERY": "0.2",
            "MAESTRO_NOTIFY__WEBHOOK__URL": url, "MAESTRO_NOTIFY__WEBHOOK__SECRET": SECRET,
            "MAESTRO_NOTIFY__EMAIL__HOST": "127.0.0.1", "MAESTRO_NOTIFY__EMAIL__PORT": str(mail.port),
            "MAESTRO_NOTIFY__EMAIL__SECURITY": "none", "MAESTRO_NOTIFY__EMAIL__SENDER": "maestro@example.org",
            "MAESTRO_NOTIFY__EMAIL__TO": "ops@example.org", "MAESTRO_HTTP__PUBLIC_URL": "https://maestro.example.org/",
            "MAESTRO_NOTIFY__LANGUAGE": "pt-BR",
        }  # fmt: skip
        async with stage(tmp_path, **environ) as it:
            it.siblings.impacts["i1"] = [unit("p1")]
            await it.publish(event("i1"))
            doc = await it.pending()

            async def told() -> bool:
                return bool(receiver.got) and bool(mail.got)

            await eventually(told, "both ways tell")
            [thing] = receiver.got[0]["things"]
            link = f"https://maestro.example.org/#/reprocessing/{doc['id']}"
            assert (receiver.got[0]["type"], thing["item"]["kind"], thing["link"]) == ("notice.first", "pending", link)
            assert link in mail.got[0].get_content()
            assert "aprove ou descarte" in mail.got[0].get_content()

            async def counted() -> bool:
                lines = await it.metrics()
                return all(
                    f'maestro_notices_total{{way="{way}",outcome="delivered"}} 1.0' in lines
                    or f'maestro_notices_total{{outcome="delivered",way="{way}"}} 1.0' in lines
                    for way in ("webhook", "email")
                )

            await eventually(counted, "it is counted")
            await it.kill()
            await it.start()
            it.siblings.impacts["i2"] = [unit("p2")]
            await it.decide(doc, "skip")
            await it.publish(event("i2"))

            async def told_again() -> bool:
                return len(receiver.got) >= 2 and len(mail.got) >= 2

            await eventually(told_again, "what is new is told")
            second: Any = receiver.got[1]["things"]
            assert [one["item"]["instanceId"] for one in second] == ["i2"], "the first one was told before the crash"

            ran = await maestro(it, "notify", "test")
            assert (ran.code, sorted(ran.out.split("\n"))) == (0, ["", "email: arrived", "webhook: arrived"]), ran
            mail.refuses = "552 mailbox full"
            ran = await maestro(it, "notify", "test", "email")
            assert ran.code == 1
            assert "552 mailbox full" in ran.out
            assert (await maestro(it, "notify", "test", "pigeon")).code == 2
            shown = (await maestro(it, "notify", "show", "--json")).json["ways"]
            assert [one["name"] for one in shown] == ["webhook", "email"]
            assert "token-in-path" not in str(shown)
            audited = [one for one in (await it.get("/v1.0.0/audit"))["entries"] if one["what"] == "test_notice"]
            assert [(one["outcome"], one["facts"].get("way")) for one in audited] == [
                ("done", "all"), ("done", "email"), ("failed", None),
            ]  # fmt: skip
        log = it.log.read_text()
        assert SECRET not in log
        assert "token-in-path" not in log


async def test_without_a_way_nobody_is_told(tmp_path: Path) -> None:
    bare = {"MAESTRO_URL": f"http://127.0.0.1:{free_port()}"}
    assert (await maestro(None, "notify", "test", **bare)).code == 3
