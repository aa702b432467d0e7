"""Deliveries as rows of the store, and back."""

from operator import attrgetter
from typing import Any

from maestro.rules.delivery import Delivery, Sight, Verdict
from maestro.rules.identity import SYNC, migrated

#: Written only when they say something, and absent from rows of before there were any.
_OPTIONAL = ("done", "waited", "parked", "replay", "not_begun", "stored", "beside", "repeated", "reason", "redriven",
             "doubt", "sight", "text_late", "reprocessing")  # fmt: skip
_optional_fields = attrgetter(*_OPTIONAL)


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """Return the row of a delivery; its key is the number."""
    fields: dict[str, Any] = {
        "key": delivery.key, "instance": delivery.instance_id, "name": delivery.name, "branch": delivery.branch,
        "tag": delivery.tag, "at": delivery.admitted_at, "verdict": delivery.verdict,
        **{name: value for name, value in zip(_OPTIONAL, _optional_fields(delivery), strict=True) if value},
    }  # fmt: skip
    if delivery.done and delivery.key.startswith(SYNC):
        fields["done_at"] = delivery.done_at
    return fields


def to_delivery(number: int, row: dict[str, Any]) -> Delivery:
    """Return the delivery that a row keeps."""
    said = {name: row[name] for name in _OPTIONAL if name in row} | {"sight": Sight(row.get("sight", ""))}
    return Delivery(
        migrated(row["key"]), number, row["instance"], row["name"], row["branch"], row["tag"], row["at"],
        verdict=Verdict(row["verdict"]), done_at=row.get("done_at", 0.0), **said,
    )  # fmt: skip
