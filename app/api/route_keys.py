"""Routes on API keys, for whoever runs the service: the scope `admin` reaches the keys of every tenant."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Path

from app.api import examples
from app.api.dependencies import TheService
from app.api.key_schema import KeyAnswer, KeyIn, KeyList, MadeKeyAnswer, RotationIn
from app.api.openapi import STORED, answers, kept, needs
from app.errors import KeyNotFound

router = APIRouter(prefix="/v1/keys", tags=["keys"])

KeyIdInPath = Annotated[str, Path(description="The key's id, not the key.", pattern=r"^[0-9a-f]{1,64}$")]


@router.post(
    "",
    status_code=201,
    summary="Make a key",
    responses=answers(201, "The key, shown this once.", examples.MADE_KEY, *STORED),
    openapi_extra=needs("admin"),
)
def create_key(
    body: Annotated[KeyIn, Body(openapi_examples={"app": {"value": kept(examples.KEY_IN)}})], service: TheService
) -> MadeKeyAnswer:
    """From the first key on, every call needs one. There is no Idempotency-Key: a key whose answer was lost is revoked."""
    made = service.use_cases.keys.create(body.name, body.tenant, body.scopes, body.expires_at)
    return MadeKeyAnswer.of_made(made)


@router.get(
    "", summary="List keys", responses=answers(200, "Every key.", examples.KEYS, *STORED), openapi_extra=needs("admin")
)
def list_keys(service: TheService) -> KeyList:
    """Never the keys themselves: those are not kept."""
    return KeyList(keys=[KeyAnswer.of(key) for key in service.use_cases.keys.list()])


@router.delete(
    "/{key_id}",
    status_code=204,
    summary="Revoke a key",
    responses=answers(204, "It opens nothing any more.", None, *STORED, KeyNotFound),
    openapi_extra=needs("admin"),
)
def revoke_key(key_id: KeyIdInPath, service: TheService) -> None:
    """At once and for good. Revoking it again changes nothing."""
    service.use_cases.keys.revoke(key_id)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    summary="Replace a key",
    responses=answers(201, "The new key, shown this once.", examples.MADE_KEY, *STORED, KeyNotFound),
    openapi_extra=needs("admin"),
)
def rotate_key(
    key_id: KeyIdInPath,
    body: Annotated[RotationIn, Body(openapi_examples={"a day": {"value": examples.ROTATION}})],
    service: TheService,
) -> MadeKeyAnswer:
    """The same name, tenant and scopes. The old key ends after `overlap_s`. There is no Idempotency-Key here either."""
    made = service.use_cases.keys.rotate(key_id, timedelta(seconds=body.overlap_s))
    return MadeKeyAnswer.of_made(made)
