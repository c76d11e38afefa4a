"""The voices of this machine: the use cases in this process, on the local data directory."""

from __future__ import annotations

import base64
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, SecretStr

from app.api.dependencies import idempotency_of_parts
from app.api.forms import Form
from app.api.middleware import new_request_id
from app.api.requests import SpeakerIn, SpeakerPatch
from app.api.schemas import (
    EnrolledAnswer,
    EnrollmentAnswer,
    IdentificationAnswer,
    SpeakerAnswer,
    VerificationAnswer,
)
from app.audit import COMMAND, Actor, acting
from app.cli_sentences import refused_fields
from app.components import N_THREADS_PER_WORKER, Components, build
from app.records import Speaker
from app.settings import N_BYTES_PER_MB, Settings
from model.errors import AudioTooLarge, CorruptAudio, InvalidArgument

if TYPE_CHECKING:
    from vouch_client import schemas

PAGE_SIZE = 200


class LocalVoices:
    """Fulfils `app.cli_voices.Voices`. What the routes refuse before a use case begins is refused here too."""

    def __init__(self, parts: Components, settings: Settings, tenant: str) -> None:
        self._use_cases = parts.use_cases(settings)
        self._facts = parts.facts
        self._settings = settings
        self._tenant = tenant
        self.place = f"{settings.store_url} {tenant}"
        self.n_side_by_side = N_THREADS_PER_WORKER * settings.workers

    def start(self) -> None:
        """Nobody whose consent ended is found, and everybody else is."""
        self._use_cases.expiry()
        self._use_cases.sync.start()

    def compare(self, audio_a: bytes, audio_b: bytes, operating_point: str | None) -> schemas.VerificationAnswer:
        self._check(audio_a, "audio_a")
        self._check(audio_b, "audio_b")
        result = self._use_cases.compare(audio_a, audio_b, operating_point)
        answer = VerificationAnswer.of(result, self._facts, new_request_id())
        return cast("schemas.VerificationAnswer", _as_sent(answer))

    def verify(self, speaker_id: str, audio: bytes, operating_point: str | None) -> schemas.VerificationAnswer:
        self._check(audio, "audio")
        with _request() as request_id:
            result = self._use_cases.verify(self._tenant, speaker_id, audio, operating_point)
        answer = VerificationAnswer.of(result, self._facts, request_id)
        return cast("schemas.VerificationAnswer", _as_sent(answer))

    def identify(self, audio: bytes, top_k: int, operating_point: str | None) -> schemas.IdentificationAnswer:
        self._check(audio, "audio")
        with _request() as request_id:
            result = self._use_cases.identify(self._tenant, audio, top_k, operating_point)
        answer = IdentificationAnswer.of(result, self._facts, request_id)
        return cast("schemas.IdentificationAnswer", _as_sent(answer))

    def create_speaker(self, speaker_id: str, display_name: str | None) -> schemas.SpeakerAnswer:
        with refused_fields():
            body = SpeakerIn.model_validate({"speaker_id": speaker_id, "display_name": display_name})
        with _request():
            made = self._use_cases.speakers.create(
                self._tenant, body.speaker_id, body.display_name, body.metadata, body.consent_record()
            )
        return self._speaker(made)

    def enroll(
        self, speaker_id: str, clips: Sequence[bytes], *, is_forced: bool = False, idempotency_key: str | None = None
    ) -> schemas.EnrolledAnswer:
        if len(clips) > self._settings.max_clips:
            raise InvalidArgument(
                f"{len(clips)} clips were given; at most {self._settings.max_clips} are enrolled in one call "
                "(VOUCH_MAX_CLIPS)."
            )
        for i, data in enumerate(clips, 1):
            self._check(data, f"clip {i} of {len(clips)}")
        idempotency = None
        if idempotency_key is not None:
            # As over HTTP: what a service was asked for first is known again here, and the other way round.
            form = Form({"audio": tuple(clips)}, {"force": "true"} if is_forced else {})
            path = f"/v1/speakers/{speaker_id}/enrollments"
            idempotency = idempotency_of_parts("POST", path, idempotency_key, form)
        with _request():
            enrolled = self._use_cases.enroll(self._tenant, speaker_id, clips, idempotency, is_forced=is_forced)
        answer = EnrolledAnswer.of(enrolled, self._use_cases.rule.of(enrolled.speaker))
        return cast("schemas.EnrolledAnswer", _as_sent(answer))

    def speakers(self) -> Iterator[schemas.SpeakerAnswer]:
        cursor = None
        while True:
            page = self._use_cases.speakers.page(self._tenant, PAGE_SIZE, cursor)
            yield from map(self._speaker, page.speakers)
            cursor = page.next_cursor
            if cursor is None:
                return

    def speaker(self, speaker_id: str) -> schemas.SpeakerAnswer:
        return self._speaker(self._use_cases.speakers.get(self._tenant, speaker_id))

    def enrollments(self, speaker_id: str) -> list[schemas.EnrollmentAnswer]:
        found = self._use_cases.speakers.enrollments(self._tenant, speaker_id)
        return [cast("schemas.EnrollmentAnswer", _as_sent(EnrollmentAnswer.of(one))) for one in found]

    def rename(self, speaker_id: str, display_name: str | None) -> schemas.SpeakerAnswer:
        with refused_fields():
            patch = SpeakerPatch.model_validate({"display_name": display_name})
        with _request():
            return self._speaker(self._use_cases.speakers.change(self._tenant, speaker_id, patch.changes()))

    def erase(self, speaker_id: str) -> None:
        with _request():
            self._use_cases.erase.speaker(self._tenant, speaker_id)

    def _speaker(self, speaker: Speaker) -> schemas.SpeakerAnswer:
        answer = SpeakerAnswer.of(speaker, self._use_cases.rule.of(speaker))
        return cast("schemas.SpeakerAnswer", _as_sent(answer))

    def _check(self, data: bytes, name: str) -> None:
        if not data:
            raise CorruptAudio(f"{name}: the file is empty (0 bytes). Send a recording.")
        if len(data) > self._settings.max_upload_bytes:
            raise AudioTooLarge(
                f"{name} is larger than {self._settings.max_upload_mb:g} MiB (VOUCH_MAX_UPLOAD_MB); it has "
                f"{len(data) / N_BYTES_PER_MB:.1f} MiB. Send a shorter or a compressed recording."
            )


@contextmanager
def local_voices(settings: Settings, tenant: str, *, keeps_nothing: bool = False) -> Iterator[LocalVoices]:
    """Loads the bundle and opens the store, or with `keeps_nothing` an empty one, which goes at the end.

    Raises a VouchError with a sentence, StoreInUse where a service has the database.
    """
    with built(settings, keeps_nothing=keeps_nothing) as parts:
        voices = LocalVoices(parts, settings, tenant)
        voices.start()
        yield voices


@contextmanager
def built(settings: Settings, *, keeps_nothing: bool = False) -> Iterator[Components]:
    """The service's parts for as long as the block lasts, its store another one with `keeps_nothing`."""
    # Nothing listens, so what guards a service that others reach has nothing to ask.
    changes: dict[str, Any] = {"host": "127.0.0.1", "bootstrap_key_file": None}
    with tempfile.TemporaryDirectory(prefix="vouch-") as folder:
        if keeps_nothing:
            changes |= {
                "data_dir": Path(folder),
                "database_url": None,
                "master_key": _any_key(),
                "master_key_file": None,
            }
        parts = build(settings.model_copy(update=changes))
        try:
            yield parts
        finally:
            parts.close()


def _any_key() -> SecretStr:
    """For a store that goes with this process, and its key too."""
    return SecretStr(base64.b64encode(secrets.token_bytes(32)).decode())


@contextmanager
def _request() -> Iterator[str]:
    """What the audit trail has a call under; gives its id."""
    request_id = new_request_id()
    with acting(Actor(COMMAND, request_id)):
        yield request_id


def _as_sent(answer: BaseModel) -> dict[str, Any]:
    return answer.model_dump(mode="json")
