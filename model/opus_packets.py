"""Opus packets as a call carries them (RFC 6716) -> the pages of an Ogg Opus file (RFC 7845), packet by packet.

Nothing is decoded here: only a packet's framing is read. What the pages hold is a decoder's to judge, as of every upload.
"""

from __future__ import annotations

import struct

from model.errors import CorruptAudio
from model.framing import page_checksum

OPUS_CLOCK_HZ = 48_000
"""Opus counts time at this rate, whatever bandwidth it codes."""
MAX_PACKET_BYTES = 61_440
"""More is padding beyond need (RFC 7845, section 6). As much fits one Ogg page."""
MAX_PACKET_SAMPLES = 120 * OPUS_CLOCK_HZ // 1_000
_MAX_FRAME_BYTES = 1_275

_SILK, _HYBRID, _CELT = (480, 960, 1_920, 2_880), (480, 960), (120, 240, 480, 960)
_FRAME_SAMPLES = _SILK * 3 + _HYBRID * 2 + _CELT * 4
"""Of one frame, by the configuration that a packet's first byte names: 2.5 to 60 ms (RFC 6716, table 2)."""
_STEREO = 0x04

_PAGE_HEADER = struct.Struct("<4sBBqIIIB")
_CHECKSUM = slice(22, 26)
_SERIAL = 1
_BEGINS = 0x02
_VENDOR = b"vouch"


class OggOpusFile:
    """An Ogg Opus file that grows by a packet at a time, a page each. It is whole after every one.

    It has as many channels as the first packet; others are mixed to that where they are decoded. No pre-skip is stated,
    since nobody knows whether the first packet is the encoder's first.
    """

    def __init__(self) -> None:
        self._n_packets = 0
        self._n_pages = 0
        self._n_samples = 0

    @property
    def duration_s(self) -> float:
        return self._n_samples / OPUS_CLOCK_HZ

    def add(self, packet: bytes) -> bytes:
        """The bytes by which this packet prolongs the file; with the first come the file's headers.

        Raises CorruptAudio where it is no Opus packet.
        """
        self._n_packets += 1
        try:
            n_samples = n_packet_samples(packet)
        except CorruptAudio as error:
            raise CorruptAudio(f"Packet {self._n_packets}: {error}") from None
        headers = b"" if self._n_pages else self._headers(2 if packet[0] & _STEREO else 1)
        self._n_samples += n_samples
        return headers + self._page(packet, granule=self._n_samples)

    def _headers(self, n_channels: int) -> bytes:
        head = struct.pack("<8sBBHIhB", b"OpusHead", 1, n_channels, 0, OPUS_CLOCK_HZ, 0, 0)
        tags = struct.pack(f"<8sI{len(_VENDOR)}sI", b"OpusTags", len(_VENDOR), _VENDOR, 0)
        return self._page(head, granule=0, flags=_BEGINS) + self._page(tags, granule=0)

    def _page(self, packet: bytes, granule: int, flags: int = 0) -> bytes:
        # A packet ends with a segment of fewer than 255 bytes, which may have none.
        segments = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
        header = _PAGE_HEADER.pack(b"OggS", 0, flags, granule, _SERIAL, self._n_pages, 0, len(segments))
        page = bytearray(header + segments + packet)
        page[_CHECKSUM] = page_checksum(bytes(page)).to_bytes(4, "little")
        self._n_pages += 1
        return bytes(page)


def n_packet_samples(packet: bytes) -> int:
    """How long an Opus packet lasts, in samples at 48 kHz; 120 to 5760.

    Raises CorruptAudio for what breaks a rule of RFC 6716, section 3.4, or has more than MAX_PACKET_BYTES.
    """
    if not 1 <= len(packet) <= MAX_PACKET_BYTES:
        raise CorruptAudio(
            f"An Opus packet of {len(packet)} bytes is not read; 1 to {MAX_PACKET_BYTES} are. "
            "Send each packet as a binary message of its own."
        )
    try:
        sizes = _frame_sizes(packet)
    except IndexError:
        sizes = []
    if not sizes or not 0 <= min(sizes) <= max(sizes) <= _MAX_FRAME_BYTES:
        raise CorruptAudio(
            f"This is no Opus packet: {len(packet)} bytes are not what its first ones state. "
            "Send each packet whole, as it came, without RTP's header."
        )
    n_samples = len(sizes) * _FRAME_SAMPLES[packet[0] >> 3]
    if n_samples > MAX_PACKET_SAMPLES:
        raise CorruptAudio(
            f"This is no Opus packet: it states {n_samples * 1_000 / OPUS_CLOCK_HZ:g} ms of audio, and one lasts at most "
            f"{MAX_PACKET_SAMPLES * 1_000 // OPUS_CLOCK_HZ} ms."
        )
    return n_samples


def _frame_sizes(packet: bytes) -> list[int]:
    """Of each frame in bytes, as stated (RFC 6716, section 3.2); the last may come out negative. Empty for no frames.

    Raises IndexError where the packet ends before all is stated.
    """
    code, position = packet[0] & 3, 1
    n_frames, are_stated, n_padding = (2 if code else 1), code == 2, 0
    if code == 3:
        n_frames, are_stated, is_padded = packet[1] & 0x3F, bool(packet[1] & 0x80), bool(packet[1] & 0x40)
        position = 2
        if is_padded:
            n_padding, position = _stated_padding(packet, position)
    if not are_stated:
        n_bytes = len(packet) - position - n_padding
        return [n_bytes // n_frames] * n_frames if n_frames and n_bytes % n_frames == 0 else []
    sizes: list[int] = []
    for _ in range(n_frames - 1):
        size, position = _stated_size(packet, position)
        sizes.append(size)
    return [*sizes, len(packet) - position - n_padding - sum(sizes)] if n_frames else []


def _stated_size(packet: bytes, start: int) -> tuple[int, int]:
    """A frame's bytes, stated in one byte or two, and where that ends."""
    first = packet[start]
    return (first, start + 1) if first < 252 else (4 * packet[start + 1] + first, start + 2)


def _stated_padding(packet: bytes, start: int) -> tuple[int, int]:
    """Bytes of padding, stated in as many bytes as it takes, and where that ends. 255 is 254 and more."""
    n_padding = 0
    while packet[start] == 255:
        n_padding, start = n_padding + 254, start + 1
    return n_padding + packet[start], start + 1
