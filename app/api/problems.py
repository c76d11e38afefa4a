"""One table: error -> status; and one shape, RFC 9457's `application/problem+json`, for all of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.errors import (
    EnrollmentNotFound,
    Forbidden,
    IdempotencyConflict,
    KeyNotFound,
    ModelMismatch,
    ModelNotReady,
    NotEnrolled,
    Overloaded,
    RateLimited,
    RequestTooLarge,
    SpeakerExists,
    SpeakerNotFound,
    StoreError,
    Unauthenticated,
)
from model.errors import (
    AudioTooLarge,
    AudioTooLong,
    CorruptAudio,
    InconsistentVoice,
    InvalidArgument,
    NotEnoughSpeech,
    ReplaySuspected,
    TooNoisy,
    UnsupportedAudio,
    VouchError,
)

log = logging.getLogger("vouch")

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:vouch:problem:"

STATE_CODE = "problem_code"
"""Where a request's state holds the code of the problem that answered it."""


@dataclass(frozen=True)
class Kind:
    """What a `code` means over HTTP. `example` is a `detail` that a caller may meet."""

    code: str
    status: int
    title: str
    meaning: str
    example: str


KINDS: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind(
            InvalidArgument.code,
            422,
            "Invalid argument",
            "A field, a parameter or the shape of the request is not allowed.",
            "top_k is '500'; it must be a whole number from 1 to 100.",
        ),
        Kind(
            Unauthenticated.code,
            401,
            "A valid API key is needed",
            "The service has keys, and the request brings none, an invalid one, or two.",
            "This call needs an API key; send it as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.",
        ),
        Kind(
            Forbidden.code,
            403,
            "Forbidden",
            "The key lacks the scope that the call needs; or the call is off; or a service without keys was asked from elsewhere.",
            "This call needs the scope 'verify'; the key's scopes: compare, identify.",
        ),
        Kind(
            "not_found",
            404,
            "No such route",
            "Nothing is served at this path.",
            "There is nothing at /v2/compare. GET /openapi.json lists every call.",
        ),
        Kind(
            SpeakerNotFound.code,
            404,
            "Speaker not found",
            "No speaker has this id, or it was erased.",
            "There is no speaker 'alice'.",
        ),
        Kind(
            EnrollmentNotFound.code,
            404,
            "Enrollment not found",
            "The speaker has no enrollment of this id.",
            "Speaker 'alice' has no enrollment 'enr_1'.",
        ),
        Kind(
            KeyNotFound.code,
            404,
            "Key not found",
            "No key has this id, or it has ended and cannot be rotated.",
            "There is no key '0f3c9a61d27be584'.",
        ),
        Kind(
            "method_not_allowed",
            405,
            "Method not allowed",
            "The path exists, but not with this method.",
            "GET is not allowed at /v1/compare; allowed: POST.",
        ),
        Kind(
            SpeakerExists.code,
            409,
            "Speaker exists",
            "The speaker_id is taken.",
            "There is a speaker 'alice' already.",
        ),
        Kind(
            NotEnrolled.code,
            409,
            "Speaker not enrolled",
            "The speaker has too little enrolled speech to be verified.",
            "Speaker 'alice' has 2.10 s of enrolled speech; 5 s is needed. Enrol 2.90 s more.",
        ),
        Kind(
            ModelMismatch.code,
            409,
            "Enrolled with another encoder",
            "The speaker was enrolled with another encoder than the one loaded.",
            "Speaker 'alice' is enrolled with encoder 1f0c…, and this service runs encoder 77ab…; their embeddings "
            "cannot be compared. Remove the speaker's enrollments and enrol again, or serve the former bundle.",
        ),
        Kind(
            IdempotencyConflict.code,
            409,
            "Idempotency-Key was used before",
            "The Idempotency-Key came with another request before.",
            "The Idempotency-Key '4711' was used for another request. Send a new key with a new request.",
        ),
        Kind(
            AudioTooLarge.code,
            413,
            "Audio too large",
            "A file, or all files of a request together, is larger than allowed.",
            "audio is larger than 25 MiB (VOUCH_MAX_UPLOAD_MB); the request holds 31457890 bytes.",
        ),
        Kind(
            RequestTooLarge.code,
            413,
            "Request too large",
            "A body that carries no audio is larger than any such call needs.",
            "The body has 70000 bytes; a body without files may have 65536.",
        ),
        Kind(
            UnsupportedAudio.code,
            415,
            "Unsupported audio",
            "Not a format, a sample rate or a channel count that is read.",
            "audio: 9 channels; at most 8 are read.",
        ),
        Kind(
            CorruptAudio.code,
            422,
            "Audio is broken",
            "The file is empty or damaged.",
            "audio: the file is empty (0 bytes). Send a recording.",
        ),
        Kind(
            AudioTooLong.code,
            422,
            "Audio too long",
            "The clip lasts longer than allowed.",
            "audio: the clip lasts 1800.0 s; at most 120 s are allowed.",
        ),
        Kind(
            NotEnoughSpeech.code,
            422,
            "Not enough speech",
            "A clip to enrol holds too little speech, or a clip to embed no sound at all.",
            "clip 2 of 3 has 0.31 s of speech in 4.00 s of audio; at least 1 s is needed. Send a longer recording in "
            "which the person keeps talking.",
        ),
        Kind(
            TooNoisy.code,
            422,
            "Too noisy",
            "A clip to enrol is mostly noise.",
            "clip 1 of 1 has a signal-to-noise ratio of -3.2 dB; at least 3 dB is needed. Record closer to the "
            "microphone or in a quieter place.",
        ),
        Kind(
            InconsistentVoice.code,
            422,
            "Inconsistent voice",
            "A clip to enrol is another voice than the speaker's other clips.",
            "clip 2 of 3 does not sound like the speaker's other clips: its log-likelihood ratio is under -7; at least -2 "
            "is needed (VOUCH_ENROLL_MIN_LLR). Check who speaks in each clip. If the wrong voice was enrolled before, "
            "erase the speaker and enrol afresh.",
        ),
        Kind(
            ReplaySuspected.code,
            422,
            "Heard before",
            "A clip to enrol is a recording that was heard of the speaker before, and `VOUCH_REPLAY_POLICY` is `refuse`.",
            "clip 1 of 1 is a recording that was enrolled or verified for this speaker before, or that is sent twice in this "
            "call; each is taken once (VOUCH_REPLAY_POLICY). Make a new recording.",
        ),
        Kind(
            RateLimited.code,
            429,
            "Too many calls",
            "More calls with this key, or verifications of this speaker, than a minute allows. Try again after `Retry-After` seconds.",
            "This speaker was verified 30 times within a minute with this key (VOUCH_VERIFY_LIMIT_PER_MINUTE). Try again "
            "in 2 s.",
        ),
        Kind(
            VouchError.code,
            500,
            "Internal error",
            "A mistake in the service. The log has it under the request_id.",
            "Something went wrong in the service. The log has the reason under this request_id.",
        ),
        Kind(
            Overloaded.code,
            503,
            "Overloaded",
            "Every place in the queue is taken. Try again after `Retry-After` seconds.",
            "All 34 places are taken: 2 at work and 32 waiting. Try again in 3 s, or raise VOUCH_WORKERS or "
            "VOUCH_QUEUE_SIZE.",
        ),
        Kind(
            ModelNotReady.code,
            503,
            "Not ready",
            "The service is starting or stopping. Try again after `Retry-After` seconds.",
            "The service is starting: its encoder or its gallery is not ready yet.",
        ),
        Kind(
            StoreError.code,
            503,
            "Store unavailable",
            "The database cannot be used at the moment. Try again after `Retry-After` seconds.",
            "The store cannot be used at the moment. The log has the reason under this request_id.",
        ),
    )
}
"""By `code`. `docs/errors.md` is this table, held to it by a test."""

RETRY_AFTER_STORE_S = 5


def problem_body(
    code: str, detail: str, request_id: str, errors: Sequence[Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """The JSON of a problem; `errors` names each field that was refused, where there are several."""
    kind = KINDS[code]
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + code,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if errors is not None:
        body["errors"] = [dict(error) for error in errors]
    return body


class ProblemResponse(JSONResponse):
    """Notes its code in the request's state when it is sent: only what left counts."""

    media_type = MEDIA_TYPE

    def __init__(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(body, status_code=body["status"], headers=dict(headers))
        self._code = str(body["code"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})[STATE_CODE] = self._code
        await super().__call__(scope, receive, send)


def problem_response(
    code: str,
    detail: str,
    request_id: str,
    errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    return ProblemResponse(problem_body(code, detail, request_id, errors), headers or {})


def response_to(error: VouchError, request_id: str) -> JSONResponse:
    """The answer to an error of our own tree. Whatever the table lacks is a mistake of ours, and says nothing."""
    if isinstance(error, StoreError):
        log.error("store error", exc_info=error)
        headers = {"Retry-After": str(RETRY_AFTER_STORE_S)}
        return problem_response(error.code, KINDS[error.code].example, request_id, headers=headers)
    if error.code not in KINDS or error.code == VouchError.code:
        return internal_error(error, request_id)
    headers = {}
    if isinstance(error, Overloaded | ModelNotReady | RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return problem_response(error.code, str(error), request_id, headers=headers)


def internal_error(error: Exception, request_id: str) -> JSONResponse:
    """Logs what happened and tells the caller only where to look."""
    log.error("unexpected %s", type(error).__name__, exc_info=error)
    return problem_response(VouchError.code, KINDS[VouchError.code].example, request_id)


def told_to(error: Exception, request_id: str) -> dict[str, Any]:
    """The body of the answer to any error, for where it goes out as a message."""
    answer = response_to(error, request_id) if isinstance(error, VouchError) else internal_error(error, request_id)
    body: dict[str, Any] = json.loads(bytes(answer.body))
    return body
