"""The command line where access is controlled: the token says who may do what, and in whose name."""

from pathlib import Path

from tests.support.cli import maestro
from tests.support.stage import SYSTEM, event, stage, unit


async def test_tokens(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        it.siblings.impacts["i1"] = [unit("p1")]
        await it.publish(event("i1"))
        doc = await it.pending()
        await it.stop()

        made = [await maestro(it, "token", "add", name, "--role", name) for name in ("viewer", "approver")]
        viewer, approver = (one.out.strip() for one in made)
        controlled = {"MAESTRO_ACCESS__ENABLED": "true"}
        it._environ |= controlled
        await it.start(wait=False)

        refused = await maestro(it, "watch", doc["id"], "--for", "30")
        while refused.code == 3:
            refused = await maestro(it, "watch", doc["id"], "--for", "30")
        assert refused.code == 1
        assert refused.err == "maestro: a bearer token is needed; give one by MAESTRO_TOKEN or --token-file\n"

        looking = {"MAESTRO_TOKEN": viewer}
        assert doc["id"][:8] in (await maestro(it, "pending", **looking)).out
        denied = await maestro(it, "approve", doc["id"], "--yes", **looking)
        assert denied.code == 1
        assert "it takes the role approver" in denied.err
        blind = await maestro(it, "doctor")
        assert blind.code == 1
        assert "maestro token add doctor --role viewer" in blind.out
        assert (await maestro(it, "doctor", **looking)).code == 0

        file = tmp_path / "token"
        file.touch(0o600)
        file.write_text(approver)
        foreign = await maestro(it, "approve", doc["id"], "--yes", "--user", "ben", "--token-file", str(file))
        assert foreign.code == 1
        assert "cannot decide for another" in foreign.err
        approved = await maestro(it, "approve", doc["id"], "--yes", "--json", "--token-file", str(file))
        assert approved.code == 0
        assert approved.json["history"][-1]["user"] == "approver"
        assert (await maestro(it, "watch", doc["id"], **looking)).code == 0
        assert (await maestro(it, "history", SYSTEM, "--status", "finished", "--json", **looking)).json[0]["id"] == doc[
            "id"
        ]


async def test_two_must_approve(tmp_path: Path) -> None:
    async with stage(tmp_path, MAESTRO_ACCESS__TWO_APPROVERS=SYSTEM) as it:
        it.siblings.impacts["i1"] = [unit("p1")]
        await it.publish(event("i1"))
        doc = await it.pending()
        first = await maestro(it, "approve", doc["id"], "--yes", "--user", "ana")
        assert (first.code, "another user must approve it, too" in first.out) == (0, True)
        assert "by ana" in (await maestro(it, "show", doc["id"])).out
        assert (await maestro(it, "approve", doc["id"], "--yes", "--user", "ana")).code == 5
        second = await maestro(it, "approve", doc["id"], "--yes", "--user", "ben")
        assert second.code == 0
        assert "ana approved it" in second.err
        await it.reaches(doc, "finished")
