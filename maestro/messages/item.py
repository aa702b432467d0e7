"""What travels by itself."""

from msgspec import Struct


class Item(Struct, frozen=True, tag=True, array_like=True):
    """What travels by itself: on the wire it is a list of its type's name and its fields, in their order."""
