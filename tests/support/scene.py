"""A stage for tests that are busy with a browser: the same calls, without `await`."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.support.background import Background
from tests.support.stage import Stage, eventually, unit
from tests.support.tenant import Tenant, new_tenant

T = TypeVar("T")
JSON = dict[str, Any]
REASON = "the quote was mistyped"


class Scene:
    """Maestro and the doubles of its siblings, running in the background."""

    def __init__(self, background: Background, it: Stage) -> None:
        self._background = background
        self.it = it
        self.siblings = it.siblings
        self.url = it.url

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the stage to its end."""
        return self._background.run(work)

    def tenant(self, name: str = "") -> Tenant:
        """Return a new system, served."""
        return self.run(new_tenant(self.it, name))

    def starts(self, tenant: Tenant, short: str, name: str, branch: str = "master", **payload: Any) -> None:
        """Say which event started an instance."""
        self.siblings.origins[tenant.id(short)] = {
            "name": name, "systemId": tenant.system, "instanceId": tenant.id(short), "tag": f"tag-{short}",
            "branch": branch, "scope": "execution", "timestamp": "2026-11-23T14:12:31.884268", "payload": payload,
        }  # fmt: skip

    def hold(self, tenant: Tenant, short: str = "fix", *units: str, **payload: Any) -> JSON:
        """Have a rectified quote's commit held because of these units (default: three); return the document."""
        names = units or ("p1", "p2", "p3")
        self.starts(tenant, short, "rectify.quote.request", **(payload or {"currency": "USD", "rate": 1.61414}))
        for name in names:
            self.starts(tenant, name, "monthly.average.request", currency="USD", month="2008-02")
        tenant.impacts(short, *map(unit, names))
        self.siblings.entities[tenant.id(short)] = [
            {"currency": "USD", "rate": 1.61414, "before": {"currency": "USD", "rate": 1.4674},
             "_metadata": {"type": "quote", "changeTrack": "update", "rid": f"rid-{tenant.id(short)}"}},
        ]  # fmt: skip
        self.run(tenant.publish(short))
        return self.run(tenant.pending())

    def post(self, doc: JSON, how: str, **body: Any) -> JSON:
        """Decide as somebody else, over HTTP."""
        answer: JSON = self.run(
            self.it.post(f"/v1.0.0/reprocessing/{doc['id']}/{how}", {"user": "ben", "reason": REASON} | body)
        )
        return answer

    def document(self, doc: JSON) -> JSON:
        """Return the document as it is now."""
        return self.run(self.it.document(doc["id"]))

    def reaches(self, doc: JSON, status: str) -> JSON:
        """Wait for a status."""
        return self.run(self.it.reaches(doc, status))

    def mute(self, tenant: Tenant) -> None:
        """Let replays of this system wait until `answers` is called."""
        self.it.mute.add(tenant.system)

    def answers(self, tenant: Tenant, number: int, *cascade: str) -> None:
        """Answer the `number`th replay (from 1), which impacts further units."""
        sent = self.run(tenant.sent(number))
        result = f"r{number}"
        for one in cascade:
            self.starts(tenant, one, "yearly.rate.request", currency="USD", year=2008)
        tenant.impacts(result, *map(unit, cascade))
        self.run(self.it.answer(sent, result))

    def errors(self, tenant: Tenant, count: int) -> None:
        """Wait until so many messages are on the error queue."""
        self.run(tenant.depth_is(tenant.queues.persist_error, count))

    def waits(self, tenant: Tenant, count: int) -> None:
        """Wait until so many events wait."""
        self.run(tenant.waits(count))

    def lists(self, tenant: Tenant, count: int) -> None:
        """Wait until so many documents of the system exist."""

        async def there() -> bool:
            return len(await self.it.get(f"/v1.0.0/reprocessing/{tenant.system}/find")) == count

        self.run(eventually(there, f"{count} documents"))
