"""Every exception that reaches the framework leaves as a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from app.api.problems import internal_error, problem_response, response_to
from model.errors import InvalidArgument, VouchError


def request_id_of(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def install(app: FastAPI) -> None:
    """Registers the handlers."""

    async def on_vouch_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, VouchError)
        return response_to(error, request_id_of(request))

    async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = [_refusal(detail) for detail in error.errors()]
        detail = " ".join(f"{refusal['field']}: {refusal['message']}." for refusal in found)
        return problem_response(InvalidArgument.code, detail, request_id_of(request), found)

    async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return _framework_problem(request, error)

    app.add_exception_handler(VouchError, on_vouch_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)


def _framework_problem(request: Request, error: HTTPException) -> JSONResponse:
    request_id, path = request_id_of(request), request.url.path[:200]
    cause = error.__cause__
    if isinstance(cause, VouchError):  # raised while the framework read a body, which makes it a 400
        return response_to(cause, request_id)
    headers = error.headers or {}
    if error.status_code == 404:
        detail = f"There is nothing at {path}. GET /openapi.json lists every call."
        return problem_response("not_found", detail, request_id)
    if error.status_code == 405:
        detail = f"{request.method} is not allowed at {path}; allowed: {headers.get('Allow', 'see /openapi.json')}."
        return problem_response("method_not_allowed", detail, request_id, headers=headers)
    if error.status_code >= 500:
        return internal_error(error, request_id)
    detail = "The body cannot be read as JSON in UTF-8." if error.status_code == 400 else str(error.detail)
    return problem_response(InvalidArgument.code, detail, request_id)


def _refusal(detail: Mapping[str, Any]) -> dict[str, str]:
    """One refused field, as a sentence that quotes what was sent where that is short."""
    where, *rest = (str(part) for part in detail["loc"])
    if detail["type"] == "json_invalid":
        return {"field": "body", "message": f"not valid JSON: {detail['ctx']['error']} at character {rest[0]}"}
    field = ".".join(rest) or where
    message = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    sent = detail.get("input")
    if detail["type"] != "missing" and isinstance(sent, str | int | float) and not isinstance(sent, bool):
        message = f"{message}; got {_quoted(sent)}"
    return {"field": field, "message": message}


def _quoted(sent: str | float) -> str:
    text = repr(sent) if len(str(sent)) <= 80 else repr(str(sent)[:80]) + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
