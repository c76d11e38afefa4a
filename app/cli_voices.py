"""Whom the voice commands ask: the use cases in this process, or a running service. Both answer as HTTP does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from app.api.requests import SpeakerIn
from app.cli_options import ask_the_service, read_key
from app.cli_sentences import refused_fields
from app.cli_threads import one_thread_per_library
from app.errors import SpeakerExists, SpeakerNotFound, StoreInUse
from app.records import DEFAULT_TENANT
from app.settings import load_settings
from model.errors import InvalidArgument

if TYPE_CHECKING:
    from vouch_client.schemas import (
        EnrolledAnswer,
        EnrollmentAnswer,
        IdentificationAnswer,
        SpeakerAnswer,
        VerificationAnswer,
    )

OperatingPoint = Annotated[
    str | None, typer.Option(help="Threshold to decide by, such as fmr_1e-2; default VOUCH_OPERATING_POINT.")
]
Tenant = Annotated[str, typer.Option(help="Whose speakers, without --url; a service goes by the key.")]


class Voices(Protocol):
    """Each call raises a VouchError with a sentence: of the class that its `code` has, here and over HTTP."""

    @property
    def place(self) -> str:
        """Where the speakers are kept; another place has others."""
        ...

    @property
    def n_side_by_side(self) -> int:
        """How many calls at once are worth it, from threads."""
        ...

    def compare(self, audio_a: bytes, audio_b: bytes, operating_point: str | None) -> VerificationAnswer: ...
    def verify(self, speaker_id: str, audio: bytes, operating_point: str | None) -> VerificationAnswer: ...
    def identify(self, audio: bytes, top_k: int, operating_point: str | None) -> IdentificationAnswer: ...
    def create_speaker(self, speaker_id: str, display_name: str | None) -> SpeakerAnswer: ...
    def enroll(
        self, speaker_id: str, clips: Sequence[bytes], *, is_forced: bool = False, idempotency_key: str | None = None
    ) -> EnrolledAnswer: ...
    def speakers(self) -> Iterator[SpeakerAnswer]: ...
    def speaker(self, speaker_id: str) -> SpeakerAnswer: ...
    def enrollments(self, speaker_id: str) -> list[EnrollmentAnswer]: ...
    def rename(self, speaker_id: str, display_name: str | None) -> SpeakerAnswer: ...
    def erase(self, speaker_id: str) -> None: ...


def enroll_or_make(
    voices: Voices,
    speaker_id: str,
    display_name: str | None,
    clips: Sequence[bytes],
    *,
    is_forced: bool = False,
    idempotency_key: str | None = None,
) -> EnrolledAnswer:
    """Enrols, and makes the speaker where there is none, who stays where the clips are refused.

    Raises InvalidArgument for an id or a name that no speaker can have.
    """
    # Before anything is sent: part of what is no id would lead to another path.
    with refused_fields():
        SpeakerIn(speaker_id=speaker_id, display_name=display_name)

    try:
        # Asked, not tried: a trial would send the clips twice, and the audit trail would keep its failure.
        voices.speaker(speaker_id)
    except SpeakerNotFound:
        # Another process may make the same one meanwhile.
        with suppress(SpeakerExists):
            voices.create_speaker(speaker_id, display_name)
    return voices.enroll(speaker_id, clips, is_forced=is_forced, idempotency_key=idempotency_key)


@contextmanager
def opened(
    url: str | None, key_file: Path | None, scope: str, tenant: str = DEFAULT_TENANT, *, keeps_nothing: bool = False
) -> Iterator[Voices]:
    """`scope` is what a key needs, `keeps_nothing` for a question that no stored speaker has a part in.

    Raises ServiceError where a running service has the database and no `url` is given.
    """
    if url is not None:
        if tenant != DEFAULT_TENANT:
            raise InvalidArgument(f"--tenant is {tenant!r}, and a service goes by the key's; leave it out with --url.")
        from app.cli_client import client
        from app.cli_served import ServedVoices

        with client(url, read_key(key_file)) as vouch:
            yield ServedVoices(vouch, url.rstrip("/"))
        return
    one_thread_per_library()
    from app.cli_local import local_voices

    try:
        with local_voices(load_settings(), tenant, keeps_nothing=keeps_nothing) as local:
            yield local
    except StoreInUse as error:
        raise ask_the_service(error, scope) from None
