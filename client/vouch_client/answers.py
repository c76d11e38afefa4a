"""An answer, read: what the caller asked for, or the error that it is."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import httpx2

from vouch_client.calls import Call
from vouch_client.errors import PROBLEMS, Problem, UnknownAnswer

T = TypeVar("T")


def read(call: Call[T], response: httpx2.Response) -> T:
    """What the call is for. Raises Problem or UnknownAnswer."""
    if not response.is_success:
        raise _problem(response)
    if response.status_code == 204:
        return cast(T, None)
    body = _json_object(response)
    if body is None or (call.within is not None and call.within not in body):
        raise _unknown(response)
    return cast(T, body if call.within is None else body[call.within])


def _problem(response: httpx2.Response) -> Problem | UnknownAnswer:
    body = _json_object(response) or {}
    if not all(isinstance(body.get(name), str) for name in ("code", "detail", "request_id")):
        return _unknown(response)
    return PROBLEMS.get(body["code"], Problem)(
        detail=body["detail"],
        status=response.status_code,
        code=body["code"],
        request_id=body["request_id"],
        errors=body.get("errors") or (),
        retry_after_s=retry_after_s(response),
    )


def _json_object(response: httpx2.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _unknown(response: httpx2.Response) -> UnknownAnswer:
    status, kind = response.status_code, response.headers.get("Content-Type", "no type")
    said = f"a redirect to {response.headers['Location']}" if response.has_redirect_location else f"{status}, {kind}"
    return UnknownAnswer(f"The answer was {said}, and none of Vouch's. Is the URL the service's own?", status=status)


def retry_after_s(response: httpx2.Response) -> float | None:
    """How long the service asks to wait; None where it does not say so in seconds."""
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() else None
