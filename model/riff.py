"""WAV: a header that says where the samples are and what they are, and the samples as floats.

The header is read here, and where libsndfile is needed it sees only the samples, because it repairs lying headers
silently: a file that was cut off in an upload must be refused, and only the header tells.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import soundfile

from model.errors import CorruptAudio, UnsupportedAudio
from model.track import Block, Track, decoder_errors_are_corrupt_audio
from model.waveform import Samples

_MAX_CHUNKS = 256
_PLACEHOLDER_BYTES = 0x7FFF_0000
"""A data size from here on is what recorders write that cannot seek back to fill it in; no upload is that large."""

_BLOCK_VALUES = 65_536
"""Samples times channels that are decoded at once."""

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_GUID_TAIL = bytes.fromhex("0000 0000 1000 8000 00aa 0038 9b71")
"""What follows the format number in the GUID of an extensible header."""
_ENCODINGS = {
    (_PCM, 1): "PCM_U8",
    (_PCM, 2): "PCM_16",
    (_PCM, 3): "PCM_24",
    (_PCM, 4): "PCM_32",
    (_FLOAT, 4): "FLOAT",
    (_FLOAT, 8): "DOUBLE",
    (_ALAW, 1): "ALAW",
    (_ULAW, 1): "ULAW",
}
"""(format, bytes a sample) -> the name that libsndfile has for it."""
_PLAIN: Mapping[str, tuple[np.dtype[np.int16] | np.dtype[np.float32], float]] = {
    "PCM_16": (np.dtype("<i2"), 1 / 32_768),
    "FLOAT": (np.dtype("<f4"), 1.0),
}
"""Numbers as they lie in memory, and what full scale is worth: there is nothing to decode."""
_FORMATS = {_PCM: "PCM", _FLOAT: "float", _ALAW: "A-law", _ULAW: "mu-law"}


@dataclass(frozen=True)
class WavLayout:
    """`data[start:stop]` are the samples, little-endian and interleaved."""

    encoding: str
    sample_rate_hz: int
    channels: int
    n_frame_bytes: int
    start: int
    stop: int
    n_stated_bytes: int | None
    """Size that the data chunk states; None where a streaming recorder left a placeholder."""

    @property
    def stated_duration_s(self) -> float | None:
        if self.n_stated_bytes is None or self.sample_rate_hz == 0:
            return None
        return self.n_stated_bytes / self.n_frame_bytes / self.sample_rate_hz

    @property
    def is_plain(self) -> bool:
        """Whether reading the samples takes no decoder: nothing native looks at what a stranger wrote."""
        return self.encoding in _PLAIN

    @property
    def n_missing_bytes(self) -> int:
        """How many of the stated bytes are not in the file."""
        return 0 if self.n_stated_bytes is None else max(0, self.n_stated_bytes - (self.stop - self.start))


def parse_wav(data: bytes) -> WavLayout:
    """Walks the chunks of a RIFF/WAVE file up to its samples.

    Raises CorruptAudio where the header contradicts itself, UnsupportedAudio for an encoding that is not read.
    """
    chunk_format: bytes | None = None
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break
        name = data[position : position + 4]
        (size,) = struct.unpack_from("<I", data, position + 4)
        position += 8
        if name == b"fmt ":
            chunk_format = data[position : position + min(size, 64)]
        elif name == b"data":
            if chunk_format is None:
                raise CorruptAudio("The WAV file has no 'fmt ' chunk before its samples; write it anew.")
            return _layout(data, chunk_format, position, size)
        position += size + (size & 1)
    raise CorruptAudio(f"The WAV file of {len(data)} bytes has no 'data' chunk with samples; send it whole.")


def _layout(data: bytes, chunk_format: bytes, start: int, size: int) -> WavLayout:
    if len(chunk_format) < 16:
        raise CorruptAudio(f"The WAV file's 'fmt ' chunk has {len(chunk_format)} bytes and needs 16; write it anew.")
    tag, channels, rate, _, n_frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk_format)
    if tag == _EXTENSIBLE:
        if len(chunk_format) < 40:
            raise CorruptAudio(f"The WAV file's extensible header has {len(chunk_format)} bytes and needs 40.")
        (number,) = struct.unpack_from("<H", chunk_format, 24)
        tag = number if chunk_format[26:40] == _GUID_TAIL else tag
    if tag not in _FORMATS:
        raise UnsupportedAudio(
            f"The WAV file holds samples of format 0x{tag:04x}; PCM, float, A-law and mu-law are read. "
            "Convert it to 16-bit PCM and send it again."
        )
    if channels == 0 or n_frame_bytes == 0 or n_frame_bytes % channels or n_frame_bytes // channels != -(-bits // 8):
        raise CorruptAudio(
            f"The WAV header contradicts itself: {channels} channels of {bits} bits cannot fill {n_frame_bytes} bytes."
        )
    encoding = _ENCODINGS.get((tag, n_frame_bytes // channels))
    if encoding is None:
        raise UnsupportedAudio(
            f"The WAV file holds {bits}-bit {_FORMATS[tag]} samples, which are not read. "
            "Convert it to 16-bit PCM and send it again."
        )
    n_there = len(data) - start
    streamed = size >= _PLACEHOLDER_BYTES or (size == 0 and not _chunk_follows(data, start))
    return WavLayout(
        encoding=encoding,
        sample_rate_hz=rate,
        channels=channels,
        n_frame_bytes=n_frame_bytes,
        start=start,
        stop=start + (n_there if streamed else min(size, n_there)),
        n_stated_bytes=None if streamed else size,
    )


def _chunk_follows(data: bytes, start: int) -> bool:
    """Whether a data chunk of size 0 is really empty: another chunk, and no samples, comes after it."""
    name = data[start : start + 4]
    if start + 8 > len(data) or not all(0x20 <= byte < 0x7F for byte in name):
        return False
    (size,) = struct.unpack_from("<I", data, start + 4)
    return bool(start + 8 + size <= len(data))


def open_wav(data: bytes, layout: WavLayout | None = None) -> Track:
    """`layout` where `parse_wav` has been called already. Raises what it raises."""
    layout = layout or parse_wav(data)
    return Track("wav", layout.sample_rate_hz, layout.channels, layout.stated_duration_s, _blocks(data, layout))


def _blocks(data: bytes, layout: WavLayout) -> Iterator[Block]:
    if layout.n_missing_bytes:
        raise CorruptAudio(
            f"The WAV file is cut off: it states {layout.n_stated_bytes} bytes of samples and has "
            f"{layout.stop - layout.start}; send it whole."
        )
    read = _plain if layout.is_plain else _decoded
    n_frames = max(1, _BLOCK_VALUES // layout.channels)
    for start in range(layout.start, layout.stop - layout.n_frame_bytes + 1, n_frames * layout.n_frame_bytes):
        raw = memoryview(data)[start : min(start + n_frames * layout.n_frame_bytes, layout.stop)]
        yield Block(read(raw, layout), layout.sample_rate_hz)


def _plain(raw: memoryview, layout: WavLayout) -> Samples:
    dtype, scale = _PLAIN[layout.encoding]
    n_values = len(raw) // layout.n_frame_bytes * layout.channels
    with np.errstate(invalid="ignore"):  # some NaNs are reported; all of them are refused later on
        samples: Samples = np.multiply(np.frombuffer(raw, dtype, n_values), np.float32(scale), dtype=np.float32)
    return samples.reshape(-1, layout.channels)


def _decoded(raw: memoryview, layout: WavLayout) -> Samples:
    with decoder_errors_are_corrupt_audio("WAV"):
        samples, _ = soundfile.read(
            io.BytesIO(raw),
            format="RAW",
            subtype=layout.encoding,
            endian="LITTLE",
            samplerate=layout.sample_rate_hz,
            channels=layout.channels,
            dtype="float32",
            always_2d=True,
        )
    decoded: Samples = samples
    return decoded
