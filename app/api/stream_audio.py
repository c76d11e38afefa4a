"""A recording that is still coming in: bounded as it grows, and a whole file at any moment."""

from __future__ import annotations

import io
import wave
from typing import Annotated, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.api.uploads import UploadLease
from model.decoding import DecodingLimits
from model.errors import AudioTooLarge, AudioTooLong, CorruptAudio
from model.opus_packets import OggOpusFile

PCM_BYTES = 2
_LIMITS = DecodingLimits()


class StreamStart(BaseModel):
    """The first message of a stream: what the bytes after it are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pcm_s16le", "opus", "webm", "ogg"] = Field(
        "pcm_s16le",
        description="Bare 16-bit samples, little-endian; Opus packets, one a message; or a file as a browser records it, "
        "in pieces.",
    )
    sample_rate_hz: Annotated[int, Field(ge=_LIMITS.min_sample_rate_hz, le=_LIMITS.max_sample_rate_hz)] | None = None
    channels: Annotated[int, Field(ge=1, le=_LIMITS.max_channels)] = 1
    operating_point: Annotated[str, Field(max_length=100)] | None = None

    @model_validator(mode="after")
    def _check_rate(self) -> Self:
        if (self.format == "pcm_s16le") != (self.sample_rate_hz is not None):
            raise ValueError(
                "sample_rate_hz goes with pcm_s16le, and with nothing else: files and Opus packets say their own"
            )
        return self


class _Messages(Protocol):
    """What a format makes of its messages."""

    @property
    def duration_s(self) -> float | None:
        """Of all so far; None where only a decoder can tell."""

    def kept(self, message: bytes) -> bytes:
        """The bytes to put behind those of the messages before. Raises CorruptAudio."""

    def file(self, data: bytes) -> bytes:
        """Of all that was kept, a file."""


class _FilePieces:
    duration_s = None

    def kept(self, message: bytes) -> bytes:
        return message

    def file(self, data: bytes) -> bytes:
        return data


class _Samples:
    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._channels = channels
        self._n_bytes = 0

    @property
    def duration_s(self) -> float:
        return self._n_bytes / (PCM_BYTES * self._channels * self._sample_rate_hz)

    def kept(self, message: bytes) -> bytes:
        self._n_bytes += len(message)
        return message

    def file(self, data: bytes) -> bytes:
        n_whole = len(data) - len(data) % (PCM_BYTES * self._channels)
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(self._channels)
            file.setsampwidth(PCM_BYTES)
            file.setframerate(self._sample_rate_hz)
            file.writeframes(data[:n_whole])
        return out.getvalue()


class _OpusPackets:
    def __init__(self) -> None:
        self._ogg = OggOpusFile()

    @property
    def duration_s(self) -> float:
        return self._ogg.duration_s

    def kept(self, message: bytes) -> bytes:
        return self._ogg.add(message)

    def file(self, data: bytes) -> bytes:
        return data


def _messages(start: StreamStart) -> _Messages:
    if start.sample_rate_hz is not None:
        return _Samples(start.sample_rate_hz, start.channels)
    return _OpusPackets() if start.format == "opus" else _FilePieces()


class StreamedAudio:
    """What has come so far, in memory that it takes from all uploads together."""

    def __init__(self, start: StreamStart, lease: UploadLease, max_bytes: int, max_s: float) -> None:
        self._messages = _messages(start)
        self._lease = lease
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._data = bytearray()

    @property
    def n_bytes(self) -> int:
        return len(self._data)

    @property
    def duration_s(self) -> float | None:
        """None of a file, of which only a decoder can tell."""
        return self._messages.duration_s

    def add(self, message: bytes) -> None:
        """Raises AudioTooLarge, AudioTooLong, CorruptAudio or Overloaded."""
        kept = self._messages.kept(message)
        self._lease.take(len(kept))
        self._data += kept
        if len(self._data) > self._max_bytes:
            raise AudioTooLarge(f"The stream is larger than {self._max_bytes} bytes (VOUCH_MAX_UPLOAD_MB).")
        if self.duration_s is not None and self.duration_s > self._max_s:
            raise AudioTooLong(f"The stream lasts longer than {self._max_s:g} s (VOUCH_MAX_AUDIO_S).")

    def file(self) -> bytes:
        """Raises CorruptAudio where nothing has come."""
        if not self._data:
            raise CorruptAudio("The stream ended before any audio came. Send the recording in binary messages.")
        return self._messages.file(bytes(self._data))
