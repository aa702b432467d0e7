"""Deliveries as rows of the store, and back."""

from typing import Any

from maestro.rules.delivery import Delivery, Sight, Verdict
from maestro.rules.identity import SYNC, migrated


def delivery_row(delivery: Delivery) -> dict[str, Any]:  # noqa: C901, PLR0912 - each is written only when it says something
    """Return the row of a delivery; its key is the number."""
    fields: dict[str, Any] = {
        "key": delivery.key, "instance": delivery.instance_id, "name": delivery.name, "branch": delivery.branch,
        "tag": delivery.tag, "at": delivery.admitted_at, "verdict": delivery.verdict,
    }  # fmt: skip
    if delivery.done:
        fields["done"] = True
    if delivery.waited:
        fields["waited"] = True
    if delivery.parked:
        fields["parked"] = True
    if delivery.replay:
        fields["replay"] = True
    if delivery.not_begun:
        fields["not_begun"] = True
    if delivery.stored:
        fields["stored"] = True
    if delivery.beside:
        fields["beside"] = True
    if delivery.reason:
        fields["reason"] = delivery.reason
    if delivery.redriven:
        fields["redriven"] = True
    if delivery.doubt:
        fields["doubt"] = delivery.doubt
    if delivery.sight:
        fields["sight"] = delivery.sight
    if delivery.text_late:
        fields["text_late"] = True
    if delivery.reprocessing:
        fields["reprocessing"] = delivery.reprocessing
    if delivery.done and delivery.key.startswith(SYNC):
        fields["done_at"] = delivery.done_at
    return fields


def to_delivery(number: int, row: dict[str, Any]) -> Delivery:
    """Return the delivery that a row keeps."""
    return Delivery(
        migrated(row["key"]), number, row["instance"], row["name"], row["branch"], row["tag"], row["at"],
        verdict=Verdict(row["verdict"]), reason=row.get("reason", ""),
        done=row.get("done", False), waited=row.get("waited", False), parked=row.get("parked", False),
        replay=row.get("replay", False), not_begun=row.get("not_begun", False), stored=row.get("stored", False),
        doubt=row.get("doubt", ""), sight=Sight(row.get("sight", "")), text_late=row.get("text_late", False),
        reprocessing=row.get("reprocessing", ""), beside=row.get("beside", False),
        done_at=row.get("done_at", 0.0), redriven=row.get("redriven", False),
    )  # fmt: skip
