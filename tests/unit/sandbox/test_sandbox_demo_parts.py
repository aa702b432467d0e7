from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from maestro.sandbox import launching, service
from maestro.sandbox.broker_choice import NoBroker, amqp_url, broker_settings
from maestro.sandbox.demo.clients import CallFailed, SystemStatus
from maestro.sandbox.demo.waiting import GaveUp, until, until_count
from maestro.sandbox.options import BrokerKind
from maestro.settings.loading import load_settings
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings

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
    variables = {"RABBITMQ_HOST": "h", "RABBITMQ_AMQP_PORT": "1", "RABBITMQ_USERNAME": "a@b", "RABBITMQ_PASSWORD": "/"}
    assert amqp_url(variables) == "amqp://a%40b:%2F@h:1/plataforma_v1.0"
    assert amqp_url({**variables, "MAESTRO_BROKER__URL": "amqp://x"}) == "amqp://x"
    with pytest.raises(NoBroker):
        amqp_url({})


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chosen(kind: BrokerKind | None, folder: Path | None, environ: dict[str, str]) -> BrokerSettings:
    return broker_settings(kind, folder, environ, partial(load_settings, None, environ))


def test_a_broker_that_is_given_is_taken_whatever_the_configuration_says(own: Path) -> None:
    (own / "maestro.toml").write_text("nonsense")
    assert chosen(BrokerKind.EMBEDDED, own, {}).embedded_dir == str(own)
    broker = chosen(BrokerKind.RABBITMQ, own, {"MAESTRO_BROKER__URL": "amqp://x"})
    assert (broker.kind, broker.url) == ("rabbitmq", SecretStr("amqp://x"))


@pytest.mark.parametrize(
    ("file", "environ", "kind", "where"),
    [
        ("", {}, "embedded", "data/broker"),
        ("", {"MAESTRO_DATA_DIR": "elsewhere"}, "embedded", "elsewhere/broker"),
        ("[broker]\nembedded_dir = 'queues'", {}, "embedded", "queues"),
        ("[broker]\nurl = 'amqp://file'", {}, "rabbitmq", "amqp://file"),
        ("[broker]\nurl = 'amqp://file'", {"RABBITMQ_HOST": "h"}, "rabbitmq", "amqp://guest:guest@h:5672/plataforma_v1.0"),
    ],
)  # fmt: skip
def test_one_that_is_not_given_is_maestros(
    own: Path, file: str, environ: dict[str, str], kind: str, where: str
) -> None:
    (own / "maestro.toml").write_text(file)
    broker = chosen(None, None, environ)
    assert (broker.kind, broker.url.get_secret_value() or broker.embedded_dir) == (kind, where)


def test_nothing_says_where_rabbitmq_is(own: Path) -> None:
    with pytest.raises(NoBroker):
        chosen(BrokerKind.RABBITMQ, None, {})
    (own / "maestro.toml").write_text("[broker]\nurl = 'amqp://file'")
    assert chosen(BrokerKind.RABBITMQ, None, {}).url == SecretStr("amqp://file")


@pytest.mark.parametrize(
    ("file", "url"),
    [
        ("", "http://127.0.0.1:6971"),
        ("[http]\nport = 7000", "http://127.0.0.1:7000"),
        ("[http]\nhost = '::'\ntls_cert = 'c'\ntls_key = 'k'", "https://[::1]:6971"),
    ],
)
def test_maestro_is_where_its_configuration_says_which_is_read_once(
    own: Path, monkeypatch: pytest.MonkeyPatch, file: str, url: str
) -> None:
    (own / "maestro.toml").write_text(file)
    served: list[service.ServiceSettings] = []
    loaded: list[Settings] = []

    async def run(settings: service.ServiceSettings) -> None:
        served.append(settings)

    def load(*arguments: Any) -> Settings:
        loaded.append(load_settings(*arguments))
        return loaded[-1]

    monkeypatch.setattr(service, "run", run)
    monkeypatch.setattr(launching, "load_settings", load)
    launching.launch_sandbox(
        systems=("a",), maestro_url=None, broker=None, broker_dir=None, ports=(0,) * 5, data_dir=None, ready_file=None
    )
    assert [one.maestro_url for one in served] == [url]
    assert len(loaded) == 1


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
