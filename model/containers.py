"""bytes -> Container: what an upload is, by its content and never by its name.

Only the six containers of the HTTP contract pass. Everything else is refused here, by name where it has a known
signature, so that no library is ever asked to guess.
"""

from __future__ import annotations

import codecs
from enum import Enum

from model.errors import CorruptAudio, UnsupportedAudio
from model.mpeg import FrameHeader

ALLOWED = "WAV, FLAC, MP3, Ogg Vorbis, Ogg Opus, WebM (Opus or Vorbis) or M4A (AAC)"
"""The sentence part that every refusal ends in."""


class Container(Enum):
    """A container that is read; the value begins `Source.format`."""

    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"
    OGG = "ogg"
    WEBM = "webm"
    MP4 = "m4a"


# Signatures of what is not read, so that the refusal can say what arrived. Offset 0 unless another is named.
_FOREIGN = (
    (b"FORM", "an AIFF or other IFF file"),
    (b"#!AMR", "an AMR file"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media (WMA, ASF) file"),
    (b"caff\x00\x01", "a CAF file"),
    (b".snd", "an AU file"),
    (b"RF64", "an RF64 file"),
    (b"RIFX", "a big-endian WAV file"),
    (b"wvpk", "a WavPack file"),
    (b"NIST_1A", "a NIST Sphere file"),
    (b"MThd", "a MIDI file"),
    (b"FLV\x01", "a Flash video"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)
_FOREIGN_RIFF = {b"AVI ": "an AVI video", b"WEBP": "a WebP image"}
_IMAGE_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
_MAX_TAGS = 8
_EBML = b"\x1a\x45\xdf\xa3"


def identify(data: bytes) -> tuple[Container, bytes]:
    """The container, and the data from its first byte on (ID3v2 tags in front are cut off).

    Raises UnsupportedAudio for anything that is not one of the six, CorruptAudio where only a signature is there.
    """
    if not data:
        raise UnsupportedAudio(f"The upload is empty (0 bytes); send {ALLOWED}.")
    tagged = data.startswith(b"ID3")
    if tagged:
        data = _without_id3(data)
    container = _container(data)
    if container is None:
        what = "an ID3 tag without audio that is read here" if tagged else _foreign_name(data)
        raise UnsupportedAudio(f"The upload is {what}; send {ALLOWED}.")
    return container, data


def _container(data: bytes) -> Container | None:
    if data.startswith(b"RIFF"):
        if len(data) < 12:
            raise CorruptAudio(f"The WAV file ends inside its first header, after {len(data)} bytes; send it whole.")
        return Container.WAV if data[8:12] == b"WAVE" else None
    if data.startswith(b"fLaC"):
        return Container.FLAC
    if data.startswith(b"OggS"):
        return Container.OGG
    if data.startswith(_EBML):
        return Container.WEBM if b"webm" in data[:64] else None
    if data[4:8] == b"ftyp":
        return None if data[8:12] in _IMAGE_BRANDS else Container.MP4
    return Container.MP3 if _is_mp3(data) else None


def _is_mp3(data: bytes) -> bool:
    """Two frame headers in a row that agree, so that a chance pair of sync bytes is no MP3."""
    first = FrameHeader.parse(data, 0)
    if first is None:
        return False
    if first.n_bytes + FrameHeader.N_BYTES > len(data):
        return True  # a single frame, or one that is cut off: the decoder says which
    second = FrameHeader.parse(data, first.n_bytes)
    return second is not None and second.sample_rate_hz == first.sample_rate_hz


def _without_id3(data: bytes) -> bytes:
    """Skips ID3v2 tags (10 bytes of header, then a size of four 7-bit bytes) and the zeros some taggers leave behind."""
    start = 0
    for _ in range(_MAX_TAGS):
        if data[start : start + 3] != b"ID3":
            break
        header = data[start : start + 10]
        if len(header) < 10 or any(byte & 0x80 for byte in header[6:10]):
            raise CorruptAudio("The ID3 tag at the start of the file is broken; send the file without the tag.")
        size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
        has_footer = bool(header[5] & 0x10)
        start += 10 + size + (10 if has_footer else 0)
    if start >= len(data):
        raise CorruptAudio(
            f"The file ends after {len(data)} bytes, inside its ID3 tag of {start} bytes; send it whole."
        )
    rest = data[start:]
    return rest.lstrip(b"\x00") if rest.startswith(b"\x00") else rest


def _foreign_name(data: bytes) -> str:
    if data.startswith(b"RIFF"):
        return _FOREIGN_RIFF.get(data[8:12], "a RIFF file that is no WAV")
    if data.startswith(_EBML):
        return "a Matroska file" if b"matroska" in data[:64] else "an EBML file that is no WebM"
    if data[4:8] == b"ftyp":
        return "a HEIF or AVIF image"
    for signature, name in _FOREIGN:
        if data.startswith(signature):
            return name
    if data[0] == 0xFF and len(data) > 1 and data[1] & 0xF6 == 0xF0:
        return "a raw AAC (ADTS) stream"
    if data[0] == 0xFF and len(data) > 1 and data[1] & 0xE6 == 0xE4:
        return "an MPEG layer II file"
    return "text" if _is_text(data[:512]) else f"in no format known here (it begins {data[:8].hex(' ')})"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character >= " " or character in "\t\n\r\f" for character in text)
