"""The log of a system's webhook deliveries: the last ones, kept in the store."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from maestro.store.base import Delete, Put, Store, Write

DELIVERIES: Final = "webhook_deliveries"
#: Writes rows with the next commit of the system's store.
WriteLater = Callable[[Iterable[Write]], None]


def url_name(url: str) -> str:
    """Return what stands for a URL where it is not to be shown: its path may hold a secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]


class Delivery:
    """One happening on its way to one URL."""

    def __init__(self, number: int, fields: dict[str, Any], write: WriteLater) -> None:
        self.number = number
        self.fields = fields
        self._write = write

    def tried(self, problem: str, *, last: bool) -> None:
        """Note how a try went; `problem` is empty when it arrived."""
        self.fields["tries"] += 1
        self.fields["problem"] = problem
        self.fields["outcome"] = "delivered" if not problem else "given up" if last else "retrying"
        self.fields["last"] = time.time()
        self.save()

    def save(self) -> None:
        """Write it with the next commit."""
        self._write([Put(DELIVERIES, f"{self.number:015d}", dict(self.fields))])


class DeliveryLog:
    """The last `kept` deliveries."""

    def __init__(self, store: Store, write: WriteLater, kept: int) -> None:
        self._write = write
        self._kept = kept
        rows = ((int(key), row) for key, row in store.rows(DELIVERIES))
        self._rows = OrderedDict((number, Delivery(number, row, write)) for number, row in rows)
        self._last = next(reversed(self._rows), 0)

    def begin(self, url: str, happening: str, kind: str) -> Delivery:
        """Note that something is going to be told."""
        self._last += 1
        now = time.time()
        fields = {"url": url, "happening": happening, "type": kind, "tries": 0, "outcome": "retrying", "problem": "",
                  "begun": now, "last": now}  # fmt: skip
        delivery = self._rows[self._last] = Delivery(self._last, fields, self._write)
        delivery.save()
        while len(self._rows) > self._kept:
            number, _ = self._rows.popitem(last=False)
            self._write([Delete(DELIVERIES, f"{number:015d}")])
        return delivery

    def page(self, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Return up to `limit` deliveries numbered above `after`, oldest first, and after which to go on."""
        found = [{"number": number, **one.fields} for number, one in self._rows.items() if number > after]
        return found[:limit], found[limit - 1]["number"] if len(found) > limit else None
