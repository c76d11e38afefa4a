"""Who may make which call: decided from the head of a request, before anything of its body is read.

What a call needs is its `security` in the OpenAPI document (`openapi.needs`), so that the document and the guard cannot
differ. Whatever declares nothing, an unknown path too, needs some valid key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi.routing import APIWebSocketRoute
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access import SCOPES, Caller
from app.api.keyless import KeylessRule
from app.api.problems import response_to
from app.api.service import Service
from app.audit import NO_KEY, Actor, acting
from app.errors import Forbidden, Unauthenticated
from app.records import DEFAULT_TENANT
from app.usecases.keys import ApiKeys
from app.usecases.rate_limits import RateLimits
from model.errors import VouchError

SUBPROTOCOL = "vouch.v1"
KEY_SUBPROTOCOL = "vouch.key."
"""Before the key: a browser can give a WebSocket no header of its own, only names of protocols to choose from."""
T = TypeVar("T")

STATE_CALLER = "caller"
"""Where a request's state holds who it comes from, whether or not the call is then let through."""


@dataclass(frozen=True)
class Need:
    is_open: bool
    scopes: tuple[str, ...]


ANY_KEY = Need(is_open=False, scopes=())


def guarded(extra: Mapping[str, Any]) -> Callable[[T], T]:
    """For a WebSocket's endpoint, which no document describes: what `openapi_extra` is to a route."""

    def with_need(endpoint: T) -> T:
        endpoint.openapi_extra = extra  # type: ignore[attr-defined]
        return endpoint

    return with_need


def need_of(route: BaseRoute) -> Need:
    """What the route's document says that it needs."""
    described = route.endpoint if isinstance(route, APIWebSocketRoute) else route
    security = (getattr(described, "openapi_extra", None) or {}).get("security")
    if security is None:
        return ANY_KEY
    scopes = {scope for alternative in security for required in alternative.values() for scope in required}
    return Need(is_open=not security, scopes=tuple(sorted(scopes)))


class AccessGuard:
    """Refuses with 401, 403 or 429; what it lets through knows its caller."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], allow_keyless: bool, limits: RateLimits) -> None:
        self._app = app
        self._routes = [(route, need_of(route)) for route in routes]
        self._keyless = KeylessRule(loopback_only=not allow_keyless)
        without_keys = [scope for scope in SCOPES if not (allow_keyless and scope == "admin")]
        self._nobody = Caller(None, DEFAULT_TENANT, frozenset(without_keys))
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = scope["state"]["request_id"]
        try:
            await self._admit(scope)
        except VouchError as error:
            await response_to(error, request_id)(scope, receive, send)
            return
        caller = scope["state"].get(STATE_CALLER)
        with acting(Actor(NO_KEY if caller is None else caller.key_id or NO_KEY, request_id)):
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        service = getattr(scope["app"].state, "service", None)
        keys = service.use_cases.keys if isinstance(service, Service) else None
        presented = _presented(headers) | _among_protocols(scope)
        if keys is not None and keys.is_shared:
            await run_in_threadpool(_refresh, keys, presented)
        if keys is None or not keys.are_required:
            # Before the start there is nothing to be had yet, and no key to ask for.
            self._keyless.check(headers)
        need, speaker_id = self._find(scope)
        if need.is_open:
            return
        if keys is None or not keys.are_required:
            caller = self._nobody
        else:
            key = keys.authenticate(_one(presented))
            caller = Caller(key.key_id, key.tenant, key.scopes)
        scope["state"][STATE_CALLER] = caller  # the log line of a refusal names its key too
        self._limits.count_call(caller)
        for wanted in need.scopes:
            require_scope(wanted, caller)
        if speaker_id is not None and "verify" in need.scopes:
            self._limits.count_claim(caller, speaker_id)

    def _find(self, scope: Scope) -> tuple[Need, str | None]:
        """What the call needs, and the speaker it names. A refusal, too, is counted under its route."""
        for route, need in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope["route"] = route
                return need, found.get("path_params", {}).get("speaker_id")
        return ANY_KEY, None


def _presented(headers: Headers) -> set[str]:
    """Every key that the request brings. Another scheme than Bearer is somebody else's, such as a proxy's."""
    keys = {key.strip() for key in headers.getlist("x-api-key")}
    for value in headers.getlist("authorization"):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            keys.add(token.strip())
    return keys


def _among_protocols(scope: Scope) -> set[str]:
    offered = scope.get("subprotocols", [])
    return {one.removeprefix(KEY_SUBPROTOCOL) for one in offered if one.startswith(KEY_SUBPROTOCOL)}


def _one(presented: set[str]) -> str:
    if not presented:
        raise Unauthenticated(
            "This call needs an API key; send it as `Authorization: Bearer KEY` or as `X-API-Key: KEY`."
        )
    if len(presented) > 1:
        raise Unauthenticated("Authorization and X-API-Key bring different keys; send one key.")
    return next(iter(presented))


def _refresh(keys: ApiKeys, presented: set[str]) -> None:
    keys.refresh(None)
    for text in list(presented)[:1]:
        keys.refresh(text)


def require_scope(scope: str, caller: Caller) -> None:
    """Raises Forbidden."""
    if scope in caller.scopes:
        return
    if caller.key_id is None:
        raise Forbidden(
            "VOUCH_ALLOW_KEYLESS is set, so whoever reaches this service would make its keys. Stop it, and make the first "
            "one with `vouch keys create`."
        )
    has = ", ".join(own for own in SCOPES if own in caller.scopes) or "none"
    raise Forbidden(f"This call needs the scope {scope!r}; the key's scopes: {has}.")
