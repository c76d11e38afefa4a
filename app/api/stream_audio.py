"""A recording that is still coming in: bounded as it grows, and a whole file at any moment."""

from __future__ import annotations

import io
import wave
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.api.uploads import UploadLease
from model.decoding import DecodingLimits
from model.errors import AudioTooLarge, AudioTooLong, CorruptAudio

PCM_BYTES = 2
_LIMITS = DecodingLimits()


class StreamStart(BaseModel):
    """The first message of a stream: what the bytes after it are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pcm_s16le", "webm", "ogg"] = Field(
        "pcm_s16le", description="Bare 16-bit samples, little-endian; or a file as a browser records it, in pieces."
    )
    sample_rate_hz: Annotated[int, Field(ge=_LIMITS.min_sample_rate_hz, le=_LIMITS.max_sample_rate_hz)] | None = None
    channels: Annotated[int, Field(ge=1, le=_LIMITS.max_channels)] = 1
    operating_point: Annotated[str, Field(max_length=100)] | None = None

    @model_validator(mode="after")
    def _check_rate(self) -> Self:
        if (self.format == "pcm_s16le") != (self.sample_rate_hz is not None):
            raise ValueError("sample_rate_hz goes with pcm_s16le, and with nothing else: a file says its own")
        return self


class StreamedAudio:
    """What has come so far, in memory that it takes from all uploads together."""

    def __init__(self, start: StreamStart, lease: UploadLease, max_bytes: int, max_s: float) -> None:
        self._start = start
        self._lease = lease
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._data = bytearray()

    @property
    def n_bytes(self) -> int:
        return len(self._data)

    def n_bytes_in(self, seconds: float) -> int:
        """0 of a file, of which only a decoder can tell."""
        return round(seconds * (self._start.sample_rate_hz or 0)) * PCM_BYTES * self._start.channels

    def add(self, data: bytes) -> None:
        """Raises AudioTooLarge, AudioTooLong or Overloaded."""
        self._lease.take(len(data))
        self._data += data
        if len(self._data) > self._max_bytes:
            raise AudioTooLarge(f"The stream is larger than {self._max_bytes} bytes (VOUCH_MAX_UPLOAD_MB).")
        if self._start.sample_rate_hz and len(self._data) > self.n_bytes_in(self._max_s):
            raise AudioTooLong(f"The stream lasts longer than {self._max_s:g} s (VOUCH_MAX_AUDIO_S).")

    def file(self) -> bytes:
        """Raises CorruptAudio where nothing has come."""
        if not self._data:
            raise CorruptAudio("The stream ended before any audio came. Send the recording in binary messages.")
        if self._start.sample_rate_hz is None:
            return bytes(self._data)
        n_whole = len(self._data) - len(self._data) % (PCM_BYTES * self._start.channels)
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(self._start.channels)
            file.setsampwidth(PCM_BYTES)
            file.setframerate(self._start.sample_rate_hz)
            file.writeframes(self._data[:n_whole])
        return out.getvalue()
