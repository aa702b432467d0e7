"""Whether Maestro is alive, and ready."""

from typing import Literal

from msgspec import Struct

from maestro.http.shapes.systems import StallShape
from maestro.messages.answers import Said


class OkBody(Struct):
    """All is well."""

    status: Literal["ok"]


class StalledSystem(StallShape):
    """A system that waits for a sibling."""

    system: str


class ReadyBody(OkBody):
    """All parts are in their place; systems that wait for a sibling are named to callers who may look at systems."""

    stalled: list[StalledSystem] = []


class NotReadyBody(Struct):
    """What keeps Maestro from working, part by part."""

    status: Literal["503"]
    message: Said
    problems: dict[str, Said] = {}
