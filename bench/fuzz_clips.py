"""Damaged uploads: healthy clips of every format, and what can go wrong with their bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import signals
from model.framing import page_checksum

_MARKS = (
    *(
        b"RIFF",
        b"WAVE",
        b"fmt ",
        b"data",
        b"fLaC",
        b"OggS",
        b"OpusHead",
        b"OpusTags",
        b"\x01vorbis",
        b"\x05vorbis",
        b"ID3",
    ),
    *(
        b"Xing",
        b"Info",
        b"ftyp",
        b"moov",
        b"trak",
        b"mdia",
        b"minf",
        b"stbl",
        b"stsd",
        b"stts",
        b"stsc",
        b"stsz",
        b"stco",
    ),
    *(b"mp4a", b"esds", b"moof", b"traf", b"trun", b"tfhd", b"elst", b"mdat", b"mvex", b"trex", b"mdhd", b"hdlr"),
    *(b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\xae", b"\xa3", b"\xe1"),
)
"""Where containers have their fields: near the names of their parts."""
_EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    2**63 - 1,
    2**63,
    2**64 - 1,
)

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def seeds() -> list[bytes]:
    """Healthy clips of every format, with few and many channels, whole and as a stream; and real voices, if there are any."""
    made = [
        encode(signals.white_noise(0.3, rates[len(rates) // 2], channels), rates[len(rates) // 2])
        for encode, rates, all_channels in signals.FORMATS.values()
        for channels in {all_channels[0], all_channels[-1]}
    ]
    noise = signals.white_noise(0.3, 48_000)
    made += [
        *(signals.wav(noise, 48_000, encoding) for encoding in ("PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
        *(
            signals.open_ended_flac(noise),
            signals.flac_in_frames(noise, 48_000, 1_024),
            signals.ID3_TAG + signals.mp3(noise),
        ),
        *(signals.webm(noise, live=True), signals.m4a(noise, fragmented=True)),
        *(
            signals.muxed("mp4", [("aac", noise), ("aac", noise)], 48_000),
            signals.muxed("webm", [("opus", noise)], 48_000),
        ),
    ]
    voices = signals.data_folder_or_none()
    if voices is not None:
        made += [path.read_bytes() for path in sorted(voices.rglob("*.opus"))[:60:6]]
    return made


def _flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    for _i in range(rng.randint(1, 16)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _run(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start, n = rng.randrange(len(data)), rng.randint(1, 64)
    data[start : start + n] = bytes([rng.choice((0, 0xFF, rng.randrange(256)))]) * len(data[start : start + n])


def _head(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    for _i in range(rng.randint(1, 4)):
        data[rng.randrange(min(128, len(data)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))


def _truncate(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    del data[rng.randint(1, len(data)) :]


def _splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def _repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randint(1, 4_096)]
    data[start:start] = piece * rng.randint(1, 20)


def _junk(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.randint(1, 300))


def _marked(data: bytearray, rng: random.Random) -> int:
    """A place of one of the marks that the file has."""
    found = [place for mark in rng.sample(_MARKS, 12) if (place := data.find(mark, rng.randrange(len(data)) // 2)) >= 0]
    return rng.choice(found) if found else rng.randrange(len(data))


def _field(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """A number near a mark becomes an extreme one."""
    place = max(0, _marked(data, rng) + rng.randint(-4, 40))
    size = rng.choice((1, 2, 4, 4, 4, 8))
    value = rng.choice((*_EXTREMES, rng.getrandbits(64))) % 256**size
    data[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _part(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """A part (chunk, box, page, element) is doubled, left out, or put into another file."""
    begin, end = sorted((_marked(data, rng), _marked(data, rng)))
    begin = max(0, begin - rng.choice((0, 4)))
    piece = bytes(data[begin:end][:20_000])
    match rng.randrange(3):
        case 0:
            data[begin:begin] = piece
        case 1:
            del data[begin : begin + len(piece)]
        case _:
            other = bytearray(rng.choice(others))
            place = _marked(other, rng)
            other[place:place] = piece
            data[:] = other


_MUTATIONS: Sequence[Mutation] = (_flip, _run, _head, _truncate, _splice, _repeat, _junk, _field, _field, _field, _part)


def mutated(healthy: Sequence[bytes], seed: int, number: int) -> bytes:
    rng = random.Random(f"{seed} {number}")
    data = bytearray(rng.choice(healthy))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        rng.choice(_MUTATIONS)(data, rng, healthy)
        if not data:
            break
    if data[:4] == b"OggS" and rng.random() < 0.8:
        _mend_pages(data)
    return bytes(data)


def _mend_pages(data: bytearray) -> None:
    """True checksums, or no damage of an Ogg file would ever come as far as a decoder."""
    start = 0
    while (start := data.find(b"OggS", start)) >= 0 and start + 27 <= len(data):
        body = start + 27 + data[start + 26]
        stop = body + sum(data[start + 27 : body])
        page = bytes(data[start:stop])
        if len(page) >= 27:
            data[start + 22 : start + 26] = page_checksum(page).to_bytes(4, "little")
        start += 4
