"""The lives that are played before the fork reach their end, whatever broker is configured."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from maestro.actors.warm_up import TIMES, warm_up
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings


@pytest.mark.parametrize(
    "broker", [BrokerSettings(), BrokerSettings(kind="rabbitmq", url=SecretStr("amqp://nowhere.invalid"))]
)
def test_all_lives_are_played_to_the_end(tmp_path: Path, broker: BrokerSettings) -> None:
    assert warm_up(Settings(data_dir=tmp_path, broker=broker)) == TIMES
    assert not [*tmp_path.iterdir()]
