"""A backup of a Maestro that runs, with tokens and audit log; and a start from it."""

from pathlib import Path

from maestro.access import audit_reader
from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from tests.support.cli import maestro
from tests.support.stage import event, eventually, stage, unit


async def test_a_running_maestro_is_backed_up_and_restored(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "data")
    root, viewer = tokens.add("root", Role.ADMIN), tokens.add("vera", Role.VIEWER)
    async with stage(tmp_path, token=root, MAESTRO_ACCESS__ENABLED="true") as it:
        it.siblings.impacts["i1"] = [unit("p1")]
        await it.publish(event("i1"))
        doc = await it.pending()

        copies = tmp_path / "copies"
        refused = await maestro(it, "backup", str(copies), MAESTRO_TOKEN=viewer)
        assert refused.code == 1
        assert "takes the role admin" in refused.err
        ran = await maestro(it, "backup", str(copies), MAESTRO_TOKEN=root)
        assert (ran.code, ran.err) == (0, ""), ran
        assert ran.out.startswith("1 store and the queues copied to ")
        assert not list((tmp_path / "data").rglob("*.copy")), "what was copied is moved away"
        assert (await it.document(doc["id"]))["status"] == "pending_approval", "it works on"
        audit_reader.verify(copies / "audit")
        assert {entry.name for entry in TokenFile(copies).entries()} == {"root", "vera"}

        await it.decide(doc, "approve", user="root")
        await it.reaches(doc, "finished")
        await it.stop()
        ran = await maestro(it, "restore", str(copies))
        assert ran.code == 0, ran
        await it.start()

        async def as_it_was() -> bool:
            return (await it.document(doc["id"]))["status"] == "pending_approval"

        await eventually(as_it_was, "the reprocessing is as it was in the backup")
        entries = (await it.get("/v1.0.0/audit"))["entries"]
        assert [one["system"] for one in entries if one["what"] == "copy_store"] == ["sysA"]
