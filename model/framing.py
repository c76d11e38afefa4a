"""Ogg and WebM framing: is the file whole? (`mp4.py` asks it of the third.)

One rule for every container: a file that states how long it is, and is shorter, was cut off and is refused. A stream
that states no length (what browsers record) is taken as far as it goes. FFmpeg is lenient about both.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from model.errors import CorruptAudio

# --- Ogg (RFC 3533) ---------------------------------------------------------------------------------------------------

_PAGE_HEADER_BYTES = 27
_FIRST_PAGE, _LAST_PAGE = 0x02, 0x04
_MAX_PAGES = 100_000
"""Twice what two minutes of 2.5 ms packets need, one a page."""
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class _Page:
    start: int
    stop: int
    flags: int


def first_ogg_link(data: bytes) -> bytes:
    """The first of the streams that an Ogg file may hold one after the other; nearly always the whole file.

    Raises CorruptAudio where a page is damaged (its checksum is verified) or the file ends inside one.
    """
    headers_only = True
    ended = False
    stop = 0
    for page in _pages(data):
        is_first = bool(page.flags & _FIRST_PAGE)
        if is_first and not headers_only:
            return data[: page.start]
        headers_only = headers_only and is_first
        ended = bool(page.flags & _LAST_PAGE)
        stop = page.stop
    if stop < len(data) and not ended:
        raise CorruptAudio(f"The Ogg file is damaged: no page begins at byte {stop}; send it again.")
    return data[:stop]


def _pages(data: bytes) -> Iterator[_Page]:
    start = 0
    for _ in range(_MAX_PAGES):
        if data[start : start + 4] != b"OggS":
            if data.find(b"OggS", start) >= 0:
                raise CorruptAudio(f"The Ogg file is damaged: no page begins at byte {start}; send it again.")
            return
        n_segments = data[start + 26] if start + 26 < len(data) else 0
        body = start + _PAGE_HEADER_BYTES + n_segments
        stop = body + sum(data[start + _PAGE_HEADER_BYTES : body])
        if start + _PAGE_HEADER_BYTES > len(data) or stop > len(data):
            raise CorruptAudio(f"The Ogg file is cut off inside the page at byte {start}; send it whole.")
        page = data[start:stop]
        if page_checksum(page) != int.from_bytes(page[22:26], "little"):
            raise CorruptAudio(f"The Ogg file is damaged in the page at byte {start}; send it again.")
        yield _Page(start, stop, page[5])
        start = stop
    raise CorruptAudio(f"The Ogg file has more than {_MAX_PAGES} pages; encode it anew.")


def page_checksum(page: bytes) -> int:
    """Ogg's CRC-32: zlib's polynomial with the bits the other way round, from 0, over the page with a zero checksum."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED_BITS)
    state = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(state.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


# --- WebM (EBML, RFC 8794) --------------------------------------------------------------------------------------------

_EBML_HEADER, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def check_webm(data: bytes) -> None:
    """Raises CorruptAudio where the segment states its size and the file ends before it. Live recordings state none."""
    position = 0
    for name in (_EBML_HEADER, _SEGMENT):
        if data[position : position + 4] != name:
            raise CorruptAudio(f"The WebM file is cut off or damaged at byte {position}; send it whole.")
        size, position = _element_size(data, position + 4)
        if size is not None and position + size > len(data):
            raise CorruptAudio(
                f"The WebM file is cut off: it states {position + size} bytes and has {len(data)}; send it whole."
            )
        if name == _EBML_HEADER:
            position += size or 0


def _element_size(data: bytes, start: int) -> tuple[int | None, int]:
    """An EBML size of 1 to 8 bytes and where it ends; None for the reserved value that means unknown."""
    first = data[start] if start < len(data) else 0
    n_bytes = 9 - first.bit_length()
    if n_bytes > 8 or start + n_bytes > len(data):
        raise CorruptAudio(f"The WebM file is cut off or damaged at byte {start}; send it whole.")
    mask = (1 << 7 * n_bytes) - 1
    size = int.from_bytes(data[start : start + n_bytes], "big") & mask
    return (None if size == mask else size), start + n_bytes
