"""What becomes of a notification of a run that nobody takes."""

from pathlib import Path

from structlog.testing import capture_logs

from maestro.messages.decisions import Approve
from tests.support.in_process import served
from tests.support.siblings import RecordingSiblings
from tests.support.stage import event, unit


async def test_notifications_without_a_subscriber_are_no_warning_and_said_once(
    tmp_path: Path, siblings: RecordingSiblings
) -> None:
    """The platform of 2018 has nobody that subscribes to them: a run that goes well must not look like trouble."""
    siblings.impacts["i1"] = [unit("p1")]
    siblings.origins["p1"] = event("p1", name="sysA.calculate.request")
    for kind in ("starting", "finished"):
        siblings.refused[f"sysA.reprocessing.{kind}"] = f"event sysA.reprocessing.{kind} has no subscribers"
    async with served(tmp_path, siblings) as it:
        it.publish("i1")
        await siblings.wait_for(lambda: "i1" in siblings.statuses, 10)
        assert it.service._open is not None
        (id_,) = it.service._open._system.documents
        with capture_logs() as lines:
            await it.ask(Approve(id_, "ana"))
            await siblings.wait_for(lambda: siblings.count("send") == 2, 10)
            name = "re-p1"
            reference = {"id": id_, "instance_id": "p1"}
            it.publish(event(name, scope="reprocessing", reprocessing=reference), name)
            await siblings.wait_for(lambda: siblings.count("send") == 3, 10)
    assert not [line for line in lines if "notification failed" in line["event"]]
    said = [line for line in lines if line["event"].startswith("nobody subscribes")]
    assert [line["log_level"] for line in said] == ["info"]
