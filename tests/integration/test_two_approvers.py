"""Two different approvers, out of the whole service, over a crash."""

from pathlib import Path

from tests.support.stage import SYSTEM, event, stage, unit


async def test_the_second_users_approval_decides(tmp_path: Path) -> None:
    async with stage(tmp_path, MAESTRO_ACCESS__TWO_APPROVERS=SYSTEM) as it:
        it.siblings.impacts["i1"] = [unit("p1")]
        await it.publish(event("i1"))
        doc = await it.pending()
        path = f"/v1.0.0/reprocessing/{doc['id']}/approve"
        first = await it.post(path, {"user": "ana", "reason": "seen"}, ok=False)
        assert (first["_status"], first["status"]) == (202, "pending_approval")
        assert (first["firstApproval"]["user"], first["firstApproval"]["reason"]) == ("ana", "seen")
        await it.kill()
        await it.start()
        assert (await it.document(doc["id"]))["firstApproval"]["user"] == "ana"
        assert (await it.post(path, {"user": "ana"}, ok=False))["_status"] == 409
        assert "i1" not in it.siblings.commits
        assert (await it.post(path, {"user": "ben"}))["status"] in ("approved", "running")
        done = await it.reaches(doc, "finished")
        assert [entry["user"] for entry in done["history"] if entry["status"] == "approved"] == ["ben"]
