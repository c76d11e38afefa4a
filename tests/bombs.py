"""Uploads that are made to hurt: few bytes that state or become much, headers that lie, streams without an end."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np

import signals
from model.errors import AudioError, AudioTooLong, CorruptAudio, UnsupportedAudio
from model.framing import page_checksum

Bomb = tuple[Callable[[], bytes], type[AudioError]]
_PCM = bytes(32_000)


def _floats(value: float) -> Callable[[], bytes]:
    return lambda: signals.raw_wav(np.full(8_000, value, np.float32).tobytes(), bits=32, tag=3)


def _streaminfo(*, rate_hz: int, channels: int, n_samples: int) -> bytes:
    """A FLAC's head that states what an encoder would not write, and a second of silence behind it."""
    upload = bytearray(signals.flac(signals.silence(1.0)))
    upload[18:26] = (rate_hz << 44 | (channels - 1) << 41 | 15 << 36 | n_samples).to_bytes(8, "big")
    return bytes(upload)


def _endless_ogg(*, granule: int | None) -> bytes:
    """The audio pages of a clip again and again, none of them the last; `granule` stands on each."""
    pages, data, start = [], signals.ogg_opus(signals.tone(1.0)), 0
    while start < len(data):
        body = start + 27 + data[start + 26]
        stop = body + sum(data[start + 27 : body])
        pages.append(bytearray(data[start:stop]))
        start = stop
    out = b"".join(pages[:2])
    for number in range(2, 3_000):
        page = bytearray(pages[2 + (number - 2) % (len(pages) - 2)])
        page[5] &= ~0x04
        page[18:22] = struct.pack("<I", number)
        if granule is not None:
            page[6:14] = struct.pack("<q", granule)
        page[22:26] = page_checksum(bytes(page)).to_bytes(4, "little")
        out += page
    return out


def _m4a_with(name: bytes, offset: int, value: bytes) -> Callable[[], bytes]:
    """`value` at `offset` behind the name of the first box that is called so."""

    def made() -> bytes:
        upload = bytearray(signals.m4a(signals.tone(1.0)))
        place = upload.index(name) + 4 + offset
        upload[place : place + len(value)] = value
        return bytes(upload)

    return made


def _webm_nested() -> bytes:
    """Ten thousand elements, each within the last, of unknown size."""
    head = bytes.fromhex("1a45dfa3 87 4282 84") + b"webm"
    return head + bytes.fromhex("18538067 01ffffffffffffff") + bytes.fromhex("1f43b675 01ffffffffffffff") * 10_000


BOMBS: Mapping[str, Bomb] = {
    "an hour of silent flac": (lambda: signals.flac(signals.silence(3_600.0, 8_000), 8_000), AudioTooLong),
    "silent flac that states nothing": (
        lambda: signals.open_ended_flac(signals.silence(600.0, 8_000), 8_000),
        AudioTooLong,
    ),
    "flac of 655 kHz in eight channels": (
        lambda: signals.flac(signals.silence(2.0, 655_350, 8), 655_350),
        UnsupportedAudio,
    ),
    "flac that states 655 kHz": (lambda: _streaminfo(rate_hz=655_350, channels=8, n_samples=0), AudioError),
    "flac that states 0 Hz": (lambda: _streaminfo(rate_hz=0, channels=1, n_samples=0), AudioError),
    "flac that states 2^36 samples": (
        lambda: _streaminfo(rate_hz=16_000, channels=1, n_samples=2**36 - 1),
        AudioTooLong,
    ),
    "wav of 1 Hz": (lambda: signals.raw_wav(_PCM, rate_hz=1), UnsupportedAudio),
    "wav of 0 Hz": (lambda: signals.raw_wav(_PCM, rate_hz=0), UnsupportedAudio),
    "wav of 4 GHz": (lambda: signals.raw_wav(_PCM, rate_hz=2**32 - 1), UnsupportedAudio),
    "wav of 1,024 channels": (lambda: signals.raw_wav(_PCM, channels=1_024), UnsupportedAudio),
    "mu-law of 1,024 channels": (lambda: signals.raw_wav(_PCM, channels=1_024, bits=8, tag=7), UnsupportedAudio),
    "wav that states 2 GB": (lambda: signals.raw_wav(_PCM, n_stated_bytes=0x7FFE_FFFF), AudioTooLong),
    "mu-law without an end": (
        lambda: signals.raw_wav(bytes(8_000 * 130), rate_hz=8_000, bits=8, tag=7, n_stated_bytes=0xFFFF_FFFF),
        AudioTooLong,
    ),
    "ogg without an end": (lambda: _endless_ogg(granule=None), AudioTooLong),
    "ogg that stands still": (lambda: _endless_ogg(granule=48_000), AudioTooLong),
    "ogg from before its beginning": (lambda: _endless_ogg(granule=-(2**62)), AudioError),
    "m4a of 2^32 packets": (_m4a_with(b"stsz", 4, b"\0\0\0\1\xff\xff\xff\xff"), CorruptAudio),
    "m4a whose packets last for ever": (_m4a_with(b"stts", 4, b"\0\0\0\1\xff\xff\xff\xff"), CorruptAudio),
    "m4a with a box of 2^63 bytes": (
        _m4a_with(b"ftyp", -8, b"\0\0\0\1ftyp" + (2**63).to_bytes(8, "big")),
        CorruptAudio,
    ),
    "m4a with a part of three bytes": (_m4a_with(b"mdia", -8, b"\0\0\0\3"), CorruptAudio),
    "webm within webm": (_webm_nested, AudioError),
    "mp3 behind a tag of 256 MB": (lambda: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + signals.mp3(signals.tone(1.0)), CorruptAudio),
    "mp3 behind a thousand tags": (
        lambda: signals.ID3_TAG * 1_000 + signals.mp3(signals.tone(1.0)),
        UnsupportedAudio,
    ),
    "samples that are no numbers": (_floats(np.nan), CorruptAudio),
    "samples without bounds": (_floats(-np.inf), CorruptAudio),
    "samples of 10^38": (_floats(3e38), CorruptAudio),
}
"""Name -> how it is made, and what refuses it."""
HEARD: Mapping[str, Callable[[], bytes]] = {
    "wav that states 4 GB": lambda: signals.raw_wav(_PCM, n_stated_bytes=0xFFFF_FFFF),
    "the smallest numbers": _floats(1e-45),
    "a constant": _floats(0.7),
    "m4a with a part of no size": _m4a_with(b"mdia", -8, bytes(4)),
    "silence": lambda: signals.wav(signals.silence(5.0)),
    "a tone": lambda: signals.wav(signals.tone(5.0)),
    "full clipping": lambda: signals.wav(np.sign(signals.tone(5.0))),
    "noise": lambda: signals.wav(signals.white_noise(5.0)),
}
"""What is audio, and nobody's voice."""
