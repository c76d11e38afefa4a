"""Refuses an upload where every place is taken: before its body is read, and before anything else is done for it.

Under four times the load that a service can bear, three requests in four end here. What they cost is missing to the
fourth, so this stands before the framework's own work.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import response_to
from app.api.service import Service
from app.errors import Overloaded


class Admission:
    """Asks the queue of the service that has started; the call itself takes the place, when its body has been read."""

    def __init__(self, app: ASGIApp, upload_routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._upload_routes = upload_routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = getattr(scope["app"].state, "service", None) if scope["type"] == "http" else None
        if isinstance(service, Service):
            try:
                service.work.require_room()
            except Overloaded as error:
                route = self._route_of(scope)
                if route is not None:
                    scope["route"] = route  # for the log line and the metrics
                    await response_to(error, scope["state"]["request_id"])(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _route_of(self, scope: Scope) -> BaseRoute | None:
        return next((route for route in self._upload_routes if route.matches(scope)[0] is Match.FULL), None)
