"""The voices of a running service, by its client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import vouch_client
from model.errors import InvalidArgument, ServiceError, VouchError
from vouch_client.schemas import (
    EnrolledAnswer,
    EnrollmentAnswer,
    IdentificationAnswer,
    SpeakerAnswer,
    VerificationAnswer,
)

PAGE_SIZE = 200


class ServedVoices:
    """Fulfils `app.cli_voices.Voices`."""

    def __init__(self, vouch: vouch_client.Vouch, place: str) -> None:
        self._vouch = vouch
        self.place = place

    def compare(self, audio_a: bytes, audio_b: bytes, operating_point: str | None) -> VerificationAnswer:
        with _errors_of_here():
            return self._vouch.compare(audio_a, audio_b, operating_point)

    def verify(self, speaker_id: str, audio: bytes, operating_point: str | None) -> VerificationAnswer:
        with _errors_of_here():
            return self._vouch.verify(speaker_id, audio, operating_point)

    def identify(self, audio: bytes, top_k: int, operating_point: str | None) -> IdentificationAnswer:
        with _errors_of_here():
            return self._vouch.identify(audio, top_k, operating_point)

    def create_speaker(self, speaker_id: str, display_name: str | None) -> SpeakerAnswer:
        with _errors_of_here():
            return self._vouch.create_speaker(speaker_id=speaker_id, display_name=display_name)

    def enroll(
        self, speaker_id: str, clips: Sequence[bytes], *, is_forced: bool = False, idempotency_key: str | None = None
    ) -> EnrolledAnswer:
        with _errors_of_here():
            return self._vouch.enroll(speaker_id, clips, is_forced, idempotency_key=idempotency_key)

    def speakers(self) -> Iterator[SpeakerAnswer]:
        with _errors_of_here():
            yield from self._vouch.speakers(PAGE_SIZE)

    def speaker(self, speaker_id: str) -> SpeakerAnswer:
        with _errors_of_here():
            return self._vouch.speaker(speaker_id)

    def enrollments(self, speaker_id: str) -> list[EnrollmentAnswer]:
        with _errors_of_here():
            return self._vouch.enrollments(speaker_id)

    def rename(self, speaker_id: str, display_name: str | None) -> SpeakerAnswer:
        with _errors_of_here():
            return self._vouch.change_speaker(speaker_id, display_name=display_name)

    def erase(self, speaker_id: str) -> None:
        with _errors_of_here():
            self._vouch.erase_speaker(speaker_id)


@contextmanager
def served_voices(url: str, key: str | None) -> Iterator[ServedVoices]:
    """Raises InvalidArgument for what is no URL or no key."""
    with _errors_of_here():
        vouch = vouch_client.Vouch(url, key or "")
    with vouch:
        yield ServedVoices(vouch, url.rstrip("/"))


@contextmanager
def _errors_of_here() -> Iterator[None]:
    """A problem as the error that the service had, so that a command goes by classes, whoever it asks."""
    try:
        yield
    except vouch_client.Problem as error:
        raise _by_code().get(error.code, ServiceError)(error.detail) from None
    except vouch_client.VouchError as error:
        raise ServiceError(str(error)) from None
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def _by_code() -> dict[str, type[VouchError]]:
    """The class of each code; of classes that share one, that which is nearest to the root."""
    found: dict[str, type[VouchError]] = {}
    level: list[type[VouchError]] = [VouchError]
    while level:
        for error in level:
            found.setdefault(error.code, error)
        level = [below for error in level for below in error.__subclasses__()]
    return found
