"""MPEG audio layer III framing: frame headers, and the Info tag in which an encoder states how long the stream is."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from model.errors import CorruptAudio

_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""By the version bits: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5."""
_KBPS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


@dataclass(frozen=True)
class FrameHeader:
    """One frame: its rate and channels, its length, and where an Info tag would stand in it."""

    N_BYTES: ClassVar[int] = 4

    sample_rate_hz: int
    channels: int
    n_samples: int
    """Per channel."""
    n_bytes: int
    """Of the whole frame with its header."""
    info_offset: int

    @classmethod
    def parse(cls, data: bytes, start: int) -> FrameHeader | None:
        """The header at `start`, or None where no layer III frame of a stated bitrate begins."""
        header = data[start : start + cls.N_BYTES]
        if len(header) < cls.N_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
            return None
        version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
        bitrate_index, rate_index = header[2] >> 4, header[2] >> 2 & 3
        if version == 1 or layer != 1 or bitrate_index in (0, 15) or rate_index == 3:
            return None
        mpeg1 = version == 3
        rate = _RATES_HZ[version][rate_index]
        n_samples = 1152 if mpeg1 else 576
        bits_per_s = 1000 * (_KBPS_MPEG1 if mpeg1 else _KBPS_MPEG2)[bitrate_index]
        padding = header[2] >> 1 & 1
        mono = header[3] >> 6 == 3
        side_info = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
        return cls(
            sample_rate_hz=rate,
            channels=1 if mono else 2,
            n_samples=n_samples,
            n_bytes=n_samples // 8 * bits_per_s // rate + padding,
            info_offset=cls.N_BYTES + side_info,
        )


def stated_duration_s(data: bytes) -> float | None:
    """What the Info (or Xing) tag in the first frame says, in seconds; None without one.

    Raises CorruptAudio where that tag says that the stream has more bytes than there are: the file was cut off.
    """
    header = FrameHeader.parse(data, 0)
    if header is None:
        return None
    tag = data[header.info_offset : header.info_offset + 16]
    if len(tag) < 16 or tag[:4] not in (b"Xing", b"Info"):
        return None
    flags, *fields = struct.unpack(">III", tag[4:])
    n_frames = fields.pop(0) if flags & 1 else None
    n_bytes = fields.pop(0) if flags & 2 else 0
    if n_bytes > len(data):
        raise CorruptAudio(f"The MP3 file is cut off: it states {n_bytes} bytes and has {len(data)}; send it whole.")
    return None if n_frames is None else n_frames * header.n_samples / header.sample_rate_hz
