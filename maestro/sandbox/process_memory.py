"""Process Memory: the origin event of every instance, and the home of the reprocessing documents."""

from typing import Any

from aiohttp import web

from maestro.sandbox.web import body_of, json, needed, new_app, refused


class ProcessMemory:
    """Keeps events and documents in memory."""

    def __init__(self) -> None:
        self._origins: dict[str, dict[str, Any]] = {}
        self.documents: dict[str, dict[str, Any]] = {}

    def remember(self, instance: str, event: dict[str, Any]) -> None:
        """Keep the event that started an instance."""
        self._origins[instance] = event

    def app(self) -> web.Application:
        """Return the HTTP service."""
        return new_app(
            web.get("/{instance}/event", self._event),
            web.get("/reprocessing", self._find),
            web.post("/reprocessing", self._create),
            web.put("/reprocessing", self._replace),
        )

    async def _event(self, request: web.Request) -> web.Response:
        event = self._origins.get(request.match_info["instance"])
        return json([] if event is None else [event])

    async def _find(self, request: web.Request) -> web.Response:
        wanted = request.query.items()
        return json(
            [
                document
                for document in self.documents.values()
                if all(str(document.get(field)) == value for field, value in wanted)
            ]
        )

    async def _create(self, request: web.Request) -> web.Response:
        document = await body_of(request)
        identity = document.get("id") if isinstance(document, dict) else None
        if not identity:
            return refused(400, "a reprocessing document needs an id")
        self.documents[identity] = document
        return json(document, 201)

    async def _replace(self, request: web.Request) -> web.Response:
        document = await body_of(request)
        identity = needed(request, "id")
        if identity not in self.documents:
            return refused(404, f"no reprocessing {identity}")
        self.documents[identity] = document
        return json(document)
