from pathlib import Path

import pytest
from pydantic import SecretStr

from maestro.sandbox.broker_choice import NoBroker, amqp_url, broker_settings
from maestro.sandbox.demo.clients import CallFailed, SystemStatus
from maestro.sandbox.demo.waiting import GaveUp, until, until_count
from maestro.sandbox.options import BrokerKind

STATUS = {
    "state": "open",
    "waiting": 0,
    "lock": None,
    "counters": {"commit": 5, "pending": 1, "waiting": 4, "error": 0, "replayed": 3, "cascaded": 2},
}


def test_status_is_read_in_one_place() -> None:
    status = SystemStatus.parse(STATUS)
    assert status.settled
    assert (status.counters.waiting, status.counters.replayed, status.counters.cascaded) == (4, 3, 2)
    assert not SystemStatus.parse({**STATUS, "waiting": 1}).settled
    assert not SystemStatus.parse({**STATUS, "state": "draining"}).settled
    with pytest.raises(CallFailed, match="counters"):
        SystemStatus.parse({"state": "open", "waiting": 0})


def test_the_brokers_url_comes_from_the_platforms_variables() -> None:
    assert amqp_url({"RABBITMQ_HOST": "h"}) == "amqp://guest:guest@h:5672/plataforma_v1.0"
    variables = {"RABBITMQ_HOST": "h", "RABBITMQ_PORT": "1", "RABBITMQ_USERNAME": "a@b", "RABBITMQ_PASSWORD": "/"}
    assert amqp_url(variables) == "amqp://a%40b:%2F@h:1/plataforma_v1.0"
    assert amqp_url({**variables, "MAESTRO_BROKER__URL": "amqp://x"}) == "amqp://x"
    with pytest.raises(NoBroker):
        amqp_url({})


def test_broker_settings(tmp_path: Path) -> None:
    assert broker_settings(BrokerKind.EMBEDDED, tmp_path, {}).embedded_dir == str(tmp_path)
    chosen = broker_settings(BrokerKind.RABBITMQ, tmp_path, {"MAESTRO_BROKER__URL": "amqp://x"})
    assert (chosen.kind, chosen.url) == ("rabbitmq", SecretStr("amqp://x"))


async def test_waiting_ends_with_the_truth_or_the_deadline() -> None:
    answers = iter([None, False, 7])

    async def probe() -> int | bool | None:
        return next(answers)

    assert await until(probe, "seven", 5) == 7

    async def never() -> None:
        return None

    with pytest.raises(GaveUp, match="the moon"):
        await until(never, "the moon", 0.1)


async def test_a_count_may_take_long_but_not_stand_still() -> None:
    counts, told = iter([1, 2, 2, 3]), []

    async def probe() -> int:
        return next(counts, 3)

    await until_count(probe, 3, "things", 5, told.append)
    assert told == [1, 2, 3]
    with pytest.raises(GaveUp, match="3 of 4"):
        await until_count(probe, 4, "things", 0.1, told.append)
