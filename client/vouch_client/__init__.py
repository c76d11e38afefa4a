"""Client of Vouch, the speaker-verification service: `Vouch`, and `AsyncVouch` for asyncio.

with Vouch() as vouch:
    print(vouch.compare("a.wav", "b.wav")["decision"])
"""

from vouch_client.async_client import AsyncVouch
from vouch_client.client import Vouch
from vouch_client.clips import Clip
from vouch_client.errors import (
    BadClip,
    Forbidden,
    InconsistentVoice,
    NotEnoughSpeech,
    NotEnrolled,
    NotReady,
    Problem,
    SpeakerExists,
    SpeakerNotFound,
    TooNoisy,
    TryLater,
    Unauthenticated,
    UnknownAnswer,
    Unreachable,
    VouchError,
)

__all__ = [
    "AsyncVouch",
    "BadClip",
    "Clip",
    "Forbidden",
    "InconsistentVoice",
    "NotEnoughSpeech",
    "NotEnrolled",
    "NotReady",
    "Problem",
    "SpeakerExists",
    "SpeakerNotFound",
    "TooNoisy",
    "TryLater",
    "Unauthenticated",
    "UnknownAnswer",
    "Unreachable",
    "Vouch",
    "VouchError",
]
