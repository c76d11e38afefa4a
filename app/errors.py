"""The service's branch of the exception tree in `model/errors.py`.

ServiceError
├── Unauthenticated        no key, or none that is valid, where the service has keys
├── Forbidden              the key lacks a scope, a call is off, or a cross-site or non-loopback request without keys
├── RateLimited            more calls with a key, or claims of one speaker, than allowed
├── SpeakerNotFound
├── EnrollmentNotFound
├── KeyNotFound
├── SpeakerExists
├── NotEnrolled            the speaker has too little enrolled speech to be verified
├── ModelMismatch          enrolled with another encoder than the one loaded
├── IdempotencyConflict    the key was used before for another request
├── RequestTooLarge        a body past what this call could need, and no audio
├── Overloaded             every place in the queue is taken
├── ModelNotReady          starting, or no encoder could be loaded
├── StoreError             the database cannot be used
│   └── StoreInUse         another process owns the embedded database
└── SettingsError          a setting that is unknown or out of range; the service does not start
"""

from typing import Self

from model.errors import ServiceError


class Unauthenticated(ServiceError):
    code = "unauthenticated"


class Forbidden(ServiceError):
    code = "forbidden"


class RateLimited(ServiceError):
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SpeakerNotFound(ServiceError):
    code = "speaker_not_found"


class EnrollmentNotFound(ServiceError):
    code = "enrollment_not_found"


class KeyNotFound(ServiceError):
    code = "key_not_found"


class SpeakerExists(ServiceError):
    code = "speaker_exists"


class NotEnrolled(ServiceError):
    code = "not_enrolled"


class ModelMismatch(ServiceError):
    code = "model_mismatch"

    @classmethod
    def between(cls, speaker_id: str, enrolled_with: str | None, loaded: str) -> Self:
        """`enrolled_with` and `loaded` are encoder ids."""
        return cls(
            f"Speaker {speaker_id!r} is enrolled with encoder {enrolled_with}, and this service runs encoder {loaded}; "
            "their embeddings cannot be compared. Remove the speaker's enrollments and enrol again, or serve the "
            "former bundle."
        )


class IdempotencyConflict(ServiceError):
    code = "idempotency_conflict"


class RequestTooLarge(ServiceError):
    code = "request_too_large"


class Overloaded(ServiceError):
    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelNotReady(ServiceError):
    code = "model_not_ready"

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreError(ServiceError):
    code = "store_error"


class StoreInUse(StoreError):
    pass


class SettingsError(ServiceError):
    code = "settings_error"
