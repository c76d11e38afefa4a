"""Where an Ogg stream, a WebM file, an MP3 frame and a WAV header end, by bytes that are laid out here."""

from __future__ import annotations

import struct

import pytest

from model.errors import CorruptAudio
from model.framing import check_webm, first_ogg_link
from model.mpeg import stated_duration_s
from model.riff import parse_wav

FIRST, LAST = 2, 4
EBML = b"\x1a\x45\xdf\xa3"
MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)
"""128 kbit/s at 44.1 kHz in stereo, silent."""


def crc(data: bytes) -> int:
    """As the Ogg specification writes it down: bit by bit, by the polynomial 0x04c11db7."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


def page(flags: int, body: bytes) -> bytes:
    """One of fewer than 255 bytes."""
    head = b"OggS\x00" + bytes([flags]) + bytes(8) + bytes(8)
    tail = bytes([1, len(body)]) + body
    return head + struct.pack("<I", crc(head + bytes(4) + tail)) + tail


def test_a_second_stream_is_left_out() -> None:
    first = page(FIRST, b"head") + page(LAST, b"sound")
    assert first_ogg_link(first) == first
    assert first_ogg_link(first + page(FIRST, b"head") + page(LAST, b"other")) == first


def test_two_streams_side_by_side_are_one_link() -> None:
    both = page(FIRST, b"sound") + page(FIRST, b"picture") + page(LAST, b"sound")
    assert first_ogg_link(both) == both


def test_what_follows_the_last_page_is_nobody_s_concern() -> None:
    whole = page(FIRST, b"head") + page(LAST, b"sound")
    assert first_ogg_link(whole + b"a tag of somebody's") == whole


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (page(FIRST, b"head") + b"no page", r"no page begins at byte 32; send it again\.$"),
        (page(FIRST, b"head") + b"??" + page(LAST, b"sound"), r"no page begins at byte 32; send it again\.$"),
        (page(FIRST, b"head")[:-1], r"is cut off inside the page at byte 0; send it whole\.$"),
        (page(FIRST, b"head")[:-1] + b"?", r"is damaged in the page at byte 0; send it again\.$"),
    ],
)
def test_an_ogg_file_that_ends_or_breaks_between_pages_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(CorruptAudio, match=sentence):
        first_ogg_link(data)


@pytest.mark.parametrize("size", [b"", b"\x00", b"\x40"])
def test_a_webm_file_that_ends_in_a_size_is_refused(size: bytes) -> None:
    with pytest.raises(CorruptAudio, match="The WebM file is cut off or damaged at byte 4; send it whole"):
        check_webm(EBML + size)


def test_an_mp3_states_a_length_in_its_tag_or_not_at_all() -> None:
    tag = b"Xing" + struct.pack(">III", 3, 100, 417)
    tagged = MP3_FRAME[:36] + tag + MP3_FRAME[36 + len(tag) :]
    assert stated_duration_s(tagged) == pytest.approx(100 * 1152 / 44_100)
    assert stated_duration_s(MP3_FRAME) is None
    assert stated_duration_s(b"no frame") is None
    with pytest.raises(CorruptAudio, match="it states 417 bytes and has 416; send it whole"):
        stated_duration_s(tagged[:-1])


@pytest.mark.parametrize(
    ("chunk", "sentence"),
    [
        (bytes(8), r"'fmt ' chunk has 8 bytes and needs 16; write it anew\.$"),
        (struct.pack("<HHIIHH", 0xFFFE, 1, 16_000, 32_000, 2, 16), r"extensible header has 16 bytes and needs 40\.$"),
    ],
)
def test_a_wav_header_that_is_too_short_is_refused(chunk: bytes, sentence: str) -> None:
    chunks = b"fmt " + struct.pack("<I", len(chunk)) + chunk + b"data" + struct.pack("<I", 4) + bytes(4)
    with pytest.raises(CorruptAudio, match=sentence):
        parse_wav(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
