"""What is told outside: notices to people, and webhooks."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from maestro.http.shapes.decisions import DecisionBody
from maestro.http.shapes.shared import MAX_STATUS, SECONDS, After, Limit, SystemId
from maestro.messages.answers import Said


class NoticeTestBody(DecisionBody):
    """By which way a test is sent; empty: by all."""

    way: Annotated[str, Meta(max_length=MAX_STATUS, examples=["email"],
                             extra={"says": "must be slack, teams, webhook or email"})] = ""  # fmt: skip


class DeliveriesQuery(Struct):
    """Which page of which system's webhook deliveries."""

    systemId: SystemId  # noqa: N815 - the platform's name
    after: After = 0
    limit: Limit = 100


class DeliveryShape(Struct):
    """A webhook on its way."""

    number: int
    #: Without its path, which may hold a secret.
    url: str
    #: The happening's id: the `id` of what is sent.
    happening: str
    type: str
    tries: int
    outcome: Literal["retrying", "delivered", "given up"]
    problem: Said
    begun: Annotated[float, Meta(description=SECONDS)]
    last: Annotated[float, Meta(description=SECONDS)]


class DeliveryPage(Struct):
    """A page of the webhook deliveries, oldest first."""

    deliveries: list[DeliveryShape]
    next: int | None


class WayShape(Struct, rename="camel"):
    """One way by which people are told what waits for them."""

    name: str
    #: Where it goes, without what is secret of that.
    shown: str
    #: Notices since the start: that arrived, and that were given up.
    delivered: int
    given_up: int
    #: Failed tries in a row, and why the last one failed; empty: it arrived.
    failed: int
    problem: Said
    last: Annotated[float, Meta(description=SECONDS)]


class WaysBody(Struct):
    """The ways that are configured."""

    ways: list[WayShape]


class TestedWay(Struct):
    """What became of a test by one way; without a problem it arrived."""

    name: str
    problem: Said


class TestedWays(Struct):
    """What became of a test."""

    ways: list[TestedWay]
