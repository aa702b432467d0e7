"""Why a connection to RabbitMQ failed, in words."""

import pika.exceptions
import pytest

from maestro.broker.rabbitmq_problem import describe


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "RabbitMQ is not reachable: Connection refused"),
        (pika.exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED"), "ended: CONNECTION_FORCED"),
        (ValueError("what it says"), "ended: what it says"),
        (RuntimeError(), "ended: RuntimeError"),  # it says nothing: its name does
        (None, "the connection ended"),
    ],
)
def test_a_reason_is_never_empty(error: BaseException | None, says: str) -> None:
    assert describe(error).endswith(says)
