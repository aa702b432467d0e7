"""A page of any list that a system tells of: so many items, and so many bytes."""

import itertools
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from maestro.store.reading import MAX_ANSWER

T = TypeVar("T")


def page_of(
    items: Iterable[T], limit: int, rendered: Callable[[T], bytes], most: int = 0
) -> tuple[list[T], list[msgspec.Raw]]:
    """Return the first `limit` items (0: all) and each as JSON: one, and the others not beyond `most` bytes in all.

    `most` 0: what one answer may hold.
    """
    page: list[T] = []
    told: list[msgspec.Raw] = []
    size, most = 0, most or MAX_ANSWER
    for item in itertools.islice(items, limit or None):
        json = rendered(item)
        size += len(json)
        if page and size > most:
            break
        page.append(item)
        told.append(msgspec.Raw(json))
    return page, told
