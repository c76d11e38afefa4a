"""The exception tree. Every failure a caller can cause or must know of is one of these; bugs stay bugs.

    VouchError
    ├── InvalidArgument            a value outside what is allowed
    │   └── UnknownOperatingPoint
    ├── AudioError                 the upload cannot become a Waveform
    │   ├── UnsupportedAudio       not a format, rate or channel count that is read
    │   ├── CorruptAudio           the right format, but broken
    │   ├── AudioTooLong
    │   └── AudioTooLarge
    ├── QualityError               a Waveform, but no clip to enrol
    │   ├── NotEnoughSpeech
    │   ├── TooNoisy
    │   ├── InconsistentVoice      another voice than the speaker's other clips
    │   └── ReplaySuspected        a recording that was heard before
    ├── BundleError                the folder an encoder ships in is incomplete, altered or not ours
    └── ServiceError               app/errors.py draws this branch: speakers, enrollments, load

Every class has a stable `code`, which clients may switch on; the message is a sentence for a person that names the
actual and the required value. The HTTP status of each stands in one table, `app/api/problems.py`.
"""

from typing import ClassVar


class VouchError(Exception):
    """Root of the tree. `str(error)` is a sentence for a person."""

    code: ClassVar[str] = "internal_error"


class InvalidArgument(VouchError):
    code = "invalid_argument"


class UnknownOperatingPoint(InvalidArgument):
    pass


class AudioError(VouchError):
    pass


class UnsupportedAudio(AudioError):
    code = "unsupported_audio"


class CorruptAudio(AudioError):
    code = "audio_corrupt"


class AudioTooLong(AudioError):
    code = "audio_too_long"


class AudioTooLarge(AudioError):
    code = "audio_too_large"


class QualityError(VouchError):
    pass


class NotEnoughSpeech(QualityError):
    code = "not_enough_speech"


class TooNoisy(QualityError):
    code = "too_noisy"


class InconsistentVoice(QualityError):
    code = "inconsistent_voice"


class ReplaySuspected(QualityError):
    code = "replay_suspected"


class BundleError(VouchError):
    code = "bundle_error"


class ServiceError(VouchError):
    pass
