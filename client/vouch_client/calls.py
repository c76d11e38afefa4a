"""What each call sends, and what of its answer is handed on. Nothing here sends: both clients do, each in its way."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from vouch_client.clips import Clip, read_clip
from vouch_client.schemas import (
    EmbeddingAnswer,
    EnrolledAnswer,
    EnrollmentAnswer,
    IdentificationAnswer,
    KeyAnswer,
    KeyIn,
    MadeKeyAnswer,
    ModelAnswer,
    SpeakerAnswer,
    SpeakerIn,
    SpeakerList,
    SpeakerPatch,
    VerificationAnswer,
)

T = TypeVar("T")

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Resend(Enum):
    """When a call that got no answer may be sent again."""

    ALWAYS = auto()
    """Nothing is written, or an Idempotency-Key says that it is the same request."""
    UNSENT = auto()
    """Only while nothing of it went out: twice is not once. A clip that is heard twice may be taken for a replay."""
    NEVER = auto()


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and T, what the caller gets of its answer."""

    method: str
    path: tuple[str, ...]
    resend: Resend
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: Any = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """Of a form, beside its files."""
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    idempotency_key: str | None = None
    within: str | None = None
    """The field of the answer that is handed on; None: all of it."""


def compare(audio_a: Clip, audio_b: Clip, operating_point: str | None) -> Call[VerificationAnswer]:
    files = {"audio_a": audio_a, "audio_b": audio_b}
    return _heard(("compare",), files, operating_point=operating_point)


def verify(speaker_id: str, audio: Clip, operating_point: str | None) -> Call[VerificationAnswer]:
    return _heard(("speakers", speaker_id, "verify"), {"audio": audio}, operating_point=operating_point)


def identify(audio: Clip, top_k: int | None, operating_point: str | None) -> Call[IdentificationAnswer]:
    return _heard(("identify",), {"audio": audio}, top_k=top_k, operating_point=operating_point)


def embed(audio: Clip) -> Call[EmbeddingAnswer]:
    return _heard(("embeddings",), {"audio": audio})


def create_speaker(speaker: SpeakerIn, idempotency_key: str | None) -> Call[SpeakerAnswer]:
    key = _idempotency_key(idempotency_key)
    return Call("POST", ("v1", "speakers"), Resend.ALWAYS, json=speaker, idempotency_key=key)


def speakers_page(page_size: int, cursor: str | None) -> Call[SpeakerList]:
    params: dict[str, str | int] = {"limit": page_size} | ({} if cursor is None else {"cursor": cursor})
    return Call("GET", ("v1", "speakers"), Resend.ALWAYS, params=params)


def speaker(speaker_id: str) -> Call[SpeakerAnswer]:
    return Call("GET", ("v1", "speakers", speaker_id), Resend.ALWAYS)


def change_speaker(speaker_id: str, changes: SpeakerPatch) -> Call[SpeakerAnswer]:
    return Call("PATCH", ("v1", "speakers", speaker_id), Resend.UNSENT, json=changes)


def erase_speaker(speaker_id: str) -> Call[None]:
    return Call("DELETE", ("v1", "speakers", speaker_id), Resend.UNSENT)


def enroll(speaker_id: str, clips: Sequence[Clip], force: bool, idempotency_key: str | None) -> Call[EnrolledAnswer]:
    if isinstance(clips, bytes | str) or not clips:
        raise ValueError("enroll takes a list of clips, one or more; for a single one give [clip].")
    return Call(
        "POST",
        ("v1", "speakers", speaker_id, "enrollments"),
        Resend.ALWAYS,
        texts={"force": "true"} if force else {},
        files=tuple(("audio", read_clip(clip)) for clip in clips),
        idempotency_key=_idempotency_key(idempotency_key),
    )


def enrollments(speaker_id: str) -> Call[list[EnrollmentAnswer]]:
    return Call("GET", ("v1", "speakers", speaker_id, "enrollments"), Resend.ALWAYS, within="enrollments")


def take_back(speaker_id: str, enrollment_id: str) -> Call[None]:
    return Call("DELETE", ("v1", "speakers", speaker_id, "enrollments", enrollment_id), Resend.UNSENT)


def model() -> Call[ModelAnswer]:
    return Call("GET", ("v1", "model"), Resend.ALWAYS)


def readiness() -> Call[object]:
    # Whoever asks decides on the answer of this moment, so it is not asked for twice.
    return Call("GET", ("readyz",), Resend.NEVER)


# A key whose answer was lost is one that nobody has and that opens the door: it is for people to look at.


def create_key(key: KeyIn) -> Call[MadeKeyAnswer]:
    return Call("POST", ("v1", "keys"), Resend.NEVER, json=key)


def api_keys() -> Call[list[KeyAnswer]]:
    return Call("GET", ("v1", "keys"), Resend.ALWAYS, within="keys")


def revoke_key(key_id: str) -> Call[None]:
    return Call("DELETE", ("v1", "keys", key_id), Resend.UNSENT)


def rotate_key(key_id: str, overlap_s: int) -> Call[MadeKeyAnswer]:
    return Call("POST", ("v1", "keys", key_id, "rotate"), Resend.NEVER, json={"overlap_s": overlap_s})


def _heard(path: Sequence[str], clips: Mapping[str, Clip], **texts: str | int | None) -> Call[T]:
    return Call(
        "POST",
        ("v1", *path),
        Resend.UNSENT,
        texts={name: str(text) for name, text in texts.items() if text is not None},
        files=tuple((name, read_clip(clip)) for name, clip in clips.items()),
    )


def _idempotency_key(own: str | None) -> str:
    if own is None:
        return str(uuid.uuid4())
    if not _IDEMPOTENCY_KEY.fullmatch(own):
        raise ValueError(f"The idempotency key is {own[:80]!r}; it must be 1 to 255 visible ASCII characters.")
    return own
