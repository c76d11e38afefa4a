"""What a call raises instead of an answer.

    VouchError
    ├── Unreachable              no answer came
    ├── UnknownAnswer            one came, and it is none of Vouch's
    └── Problem                  Vouch says what was wrong
        ├── InvalidArgument
        ├── Unauthenticated, Forbidden
        ├── SpeakerNotFound, EnrollmentNotFound, KeyNotFound
        ├── SpeakerExists, NotEnrolled, ModelMismatch, IdempotencyConflict
        ├── BadClip              another recording helps
        │   ├── AudioTooLarge, AudioTooLong, UnsupportedAudio, CorruptAudio
        │   └── NotEnoughSpeech, TooNoisy, InconsistentVoice
        └── TryLater             the same call later may be answered
            └── RateLimited, Overloaded, NotReady, StoreError

A code without a class of its own is a plain Problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class VouchError(Exception):
    """The root of the tree. `str()` is a sentence for people."""

    # Whatever an error holds is in its `args`, so that it can be sent to another process.
    def __str__(self) -> str:
        return str(self.args[0])


class Unreachable(VouchError):
    """No answer came: nothing listens there, the network failed, or it took too long."""

    def __init__(self, message: str, was_sent: bool) -> None:
        super().__init__(message, was_sent)
        self.was_sent = was_sent
        """Whether the service may have done what it was asked to."""


class UnknownAnswer(VouchError):
    """An answer that is none of Vouch's, such as a proxy's page or a redirect, which is not followed."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, status)
        self.status = status


class Problem(VouchError):
    """What the service refused, and why. Programs go by class or `code`."""

    def __init__(
        self,
        detail: str,
        status: int,
        code: str,
        request_id: str,
        errors: Sequence[Mapping[str, str]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail, status, code, request_id, errors, retry_after_s)
        self.detail = detail
        """A sentence that names the actual and the required value."""
        self.status = status
        self.code = code
        """Stable."""
        self.request_id = request_id
        """What the service's log has it under."""
        self.errors = errors
        """Each refused field as `field` and `message`, where fields were refused."""
        self.retry_after_s = retry_after_s
        """How long the service asks to wait, in seconds."""


class InvalidArgument(Problem):
    pass


class Unauthenticated(Problem):
    pass


class Forbidden(Problem):
    pass


class SpeakerNotFound(Problem):
    pass


class EnrollmentNotFound(Problem):
    pass


class KeyNotFound(Problem):
    pass


class SpeakerExists(Problem):
    pass


class NotEnrolled(Problem):
    pass


class ModelMismatch(Problem):
    pass


class IdempotencyConflict(Problem):
    pass


class BadClip(Problem):
    """Something is wrong with a clip; another recording helps."""


class AudioTooLarge(BadClip):
    pass


class AudioTooLong(BadClip):
    pass


class UnsupportedAudio(BadClip):
    pass


class CorruptAudio(BadClip):
    pass


class NotEnoughSpeech(BadClip):
    pass


class TooNoisy(BadClip):
    pass


class InconsistentVoice(BadClip):
    pass


class TryLater(Problem):
    """Nothing is wrong with the call. `retry_after_s` tells when to make it again."""


class RateLimited(TryLater):
    pass


class Overloaded(TryLater):
    pass


class NotReady(TryLater):
    pass


class StoreError(TryLater):
    pass


PROBLEMS: Mapping[str, type[Problem]] = {
    "invalid_argument": InvalidArgument,
    "unauthenticated": Unauthenticated,
    "forbidden": Forbidden,
    "speaker_not_found": SpeakerNotFound,
    "enrollment_not_found": EnrollmentNotFound,
    "key_not_found": KeyNotFound,
    "speaker_exists": SpeakerExists,
    "not_enrolled": NotEnrolled,
    "model_mismatch": ModelMismatch,
    "idempotency_conflict": IdempotencyConflict,
    "audio_too_large": AudioTooLarge,
    "audio_too_long": AudioTooLong,
    "unsupported_audio": UnsupportedAudio,
    "audio_corrupt": CorruptAudio,
    "not_enough_speech": NotEnoughSpeech,
    "too_noisy": TooNoisy,
    "inconsistent_voice": InconsistentVoice,
    "rate_limited": RateLimited,
    "overloaded": Overloaded,
    "model_not_ready": NotReady,
    "store_error": StoreError,
}
"""By `code`."""
