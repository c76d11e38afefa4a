"""MP4: what FFmpeg is shown of a file, and files that would have it allocate what they do not hold."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import signals
from model.decoding import DecodingLimits, decode
from model.errors import AudioError, CorruptAudio, UnsupportedAudio
from model.mp4 import sound_of_mp4

LIMITS = DecodingLimits()
N_BOMB = 20_000_000

WHOLE = signals.m4a(signals.tone(0.5, 44_100))
FRAGMENTED = signals.m4a(signals.tone(0.5, 44_100), fragmented=True)
_PARENTS = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"udta", b"mvex", b"moof", b"traf")
CONTAINERS = (
    *(b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"udta", b"mvex", b"moof", b"traf", b"tref"),
    *(b"sinf", b"schi", b"meta", b"ilst", b"wave", b"wide", b"iprp", b"ipco", b"stsd", b"mdat", b"cmov", b"hoov"),
    *(b"free", b"uuid", b"jp2h", b"vexu", b"sv3d", b"mfra", b"sidx", b"mp4a", b"strk", b"gmhd"),
)
"""What FFmpeg knows as a container or reads boxes in, and what comes near one."""


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def names_at(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[int]:
    """Where the name of each box stands, down to the leaves."""
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        size, name = struct.unpack_from(">I4s", data, start)
        yield start + 4
        if name in _PARENTS:
            yield from names_at(data, start + 8, start + size)
        start += size


def with_table(upload: bytes, name: bytes, offset: int, *values: int) -> bytes:
    """The upload with numbers written over a box's content, from `offset` on."""
    at = upload.index(name) + 4 + offset
    return upload[:at] + struct.pack(f">{len(values)}I", *values) + upload[at + 4 * len(values) :]


def with_appended(upload: bytes, parents: tuple[bytes, ...], new: bytes) -> bytes:
    """The upload with a box at the end of the innermost of its parents, all of which grow. The header comes last."""
    data = bytearray(upload)
    starts = [data.index(parent) - 4 for parent in parents]
    sizes = [int.from_bytes(data[start : start + 4], "big") for start in starts]
    for start, size in zip(starts, sizes, strict=True):
        data[start : start + 4] = (size + len(new)).to_bytes(4, "big")
    end = starts[-1] + sizes[-1]
    data[end:end] = new
    return bytes(data)


def bomb() -> bytes:
    """A file of 5 KB whose tables agree on 20 million packets."""
    upload = with_table(WHOLE, b"stsz", 4, 1, N_BOMB)
    upload = with_table(upload, b"stts", 8, N_BOMB, 1)
    return with_table(upload, b"stsc", 12, N_BOMB)


def renamed(upload: bytes, at: int, name: bytes) -> bytes:
    return upload[:at] + name + upload[at + 4 :]


def in_compressed_header(upload: bytes) -> bytes:
    start = upload.index(b"moov") - 4
    header = upload[start:]
    packed = box(b"dcom", b"zlib") + box(b"cmvd", len(header).to_bytes(4, "big") + zlib.compress(header))
    return upload[:start] + box(b"moov", box(b"cmov", packed))


TABLES = bomb()[bomb().index(b"stsz") - 4 :][: int.from_bytes(bomb()[bomb().index(b"stsz") - 4 :][:4], "big")]
SAMPLE_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4a")
BOMBS = {
    "plain": bomb(),
    "sample table named edits": renamed(bomb(), bomb().index(b"stbl"), b"edts"),
    "compressed header": in_compressed_header(bomb()),
    "table beside its parent": with_appended(WHOLE, SAMPLE_ENTRY[:4], TABLES),
    "table in a sample entry": with_appended(WHOLE, SAMPLE_ENTRY, TABLES),
    "table in a box in a sample entry": with_appended(WHOLE, SAMPLE_ENTRY, box(b"sinf", box(b"schi", TABLES))),
    "table in tags": with_appended(WHOLE, (b"moov", b"udta"), box(b"tref", TABLES)),
    "second sample table": with_appended(WHOLE, SAMPLE_ENTRY[:4], box(b"stbl", TABLES)),
    "chunks": with_table(with_table(WHOLE, b"stsc", 12, 2**31), b"stts", 4, 1, 22, 1),
    "durations": with_table(WHOLE, b"stts", 8, N_BOMB),
    "a fragment": with_table(FRAGMENTED, b"trun", 0, 0, N_BOMB),
    "a fragment in a fragment index": FRAGMENTED[: FRAGMENTED.index(b"mfra") - 4]
    + box(b"tref", box(b"traf", with_table(box(b"trun", bytes(60)), b"trun", 4, N_BOMB))),
}
BLANKED = (
    *("sample table named edits", "table in a box in a sample entry", "table in tags", "second sample table"),
    "a fragment in a fragment index",
)
"""What stands in boxes that are not read; all others are refused."""


# --- attacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOMBS)
def test_tables_that_describe_millions_of_packets_never_reach_ffmpeg(name: str) -> None:
    try:
        shown = sound_of_mp4(BOMBS[name])
    except AudioError:
        assert name not in BLANKED
        return
    assert name in BLANKED
    assert N_BOMB.to_bytes(4, "big") not in shown


@pytest.mark.parametrize(
    ("name", "error", "named"),
    [
        ("plain", CorruptAudio, f"describes {N_BOMB + 1} packets"),
        ("compressed header", UnsupportedAudio, "'cmov'"),
        ("table beside its parent", CorruptAudio, "'stsz' at byte .* stands in 'minf'"),
        ("chunks", CorruptAudio, "describes 2147483648 packets; at most 1000000"),
    ],
)
def test_the_refusal_says_what_is_wrong(name: str, error: type[AudioError], named: str) -> None:
    with pytest.raises(error, match=named):
        decode(BOMBS[name], LIMITS)


def test_edits_that_repeat_a_track_are_counted() -> None:
    upload = with_table(with_table(WHOLE, b"stsz", 4, 1, 500_000), b"stts", 8, 500_000)
    edits = struct.pack(">II", 0, 9) + struct.pack(">III", 500, 0, 0x10000) * 9
    upload = renamed(upload, upload.index(b"edts"), b"free")
    start = upload.index(b"mdia") - 4
    moved = upload[:start] + box(b"edts", box(b"elst", edits)) + upload[start:]
    grown = len(moved) - len(upload)
    for name in (b"moov", b"trak"):
        at = moved.index(name) - 4
        moved = moved[:at] + (int.from_bytes(moved[at : at + 4], "big") + grown).to_bytes(4, "big") + moved[at + 4 :]
    with pytest.raises(CorruptAudio, match="describes 4500009 packets"):
        decode(moved, LIMITS)


def test_a_table_with_more_rows_than_room_is_damage() -> None:
    for name in (b"stts", b"stsc", b"stco"):
        with pytest.raises(CorruptAudio, match=f"{name.decode()}' states 9999 rows and has room for"):
            decode(with_table(WHOLE, name, 4, 9_999), LIMITS)


def test_no_renamed_box_lets_a_bomb_through(tmp_path: Path) -> None:
    """Every box of the header as every container, in a process of its own, whose memory stays that of a small clip."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs the memory figures of Linux")
    uploads = list(BOMBS.values())
    uploads += [
        renamed(BOMBS[name], at, container)
        for name in ("plain", "a fragment")
        for at in names_at(BOMBS[name])
        for container in CONTAINERS
    ]
    for index, upload in enumerate(uploads):
        (tmp_path / f"{index}.m4a").write_bytes(upload)
    script = (
        "import pathlib, re, sys, time\n"
        "from model.decoding import DecodingLimits, decode\n"
        "from model.errors import AudioError\n"
        "def peak_mb(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024\n"
        "before_mb, slowest_s = peak_mb(), 0.0\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    began = time.process_time()\n"
        "    try: decode(path.read_bytes(), DecodingLimits())\n"
        "    except AudioError: pass\n"
        "    slowest_s = max(slowest_s, time.process_time() - began)\n"
        "print(peak_mb() - before_mb, slowest_s)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown_mb, slowest_s = done.stdout.split()
    assert int(grown_mb) < 100
    assert float(slowest_s) < 1.0


@pytest.mark.parametrize("upload", [WHOLE, FRAGMENTED], ids=["whole", "fragmented"])
def test_any_renamed_box_is_an_audio_error_or_audio(upload: bytes) -> None:
    for at in names_at(upload):
        for container in CONTAINERS:
            try:
                samples = decode(renamed(upload, at, container), LIMITS).samples
            except AudioError:
                continue
            assert np.isfinite(samples).all()


# --- real files -------------------------------------------------------------------------------------------------------


def decoded_by_ffmpeg(upload: bytes) -> signals.Audio:
    with av.open(io.BytesIO(upload), format="mov") as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)


def with_tags(upload: bytes) -> bytes:
    """What iTunes writes: names, cover art, padding; and chapters by Nero."""
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + b"\xff\xd8\xff" + bytes(9_000)))
    name = box(b"\xa9nam", box(b"data", struct.pack(">II", 1, 0) + "Grüße".encode()))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    meta = box(b"meta", bytes(4) + handler + box(b"ilst", name + cover) + box(b"free", bytes(500)))
    chapters = box(b"chpl", bytes([1, 0, 0, 0, 0, 0, 0, 0, 1]) + bytes(8) + b"\x03one")
    return with_appended(upload, (b"moov",), box(b"udta", meta + chapters)) + box(b"free", bytes(100))


def with_wide_size(upload: bytes) -> bytes:
    """The samples' box takes the 8 bytes that are left free in front of it for a long size."""
    start = upload.index(b"free") - 4
    (size,) = struct.unpack_from(">I", upload, start + 8)
    return upload[:start] + struct.pack(">I4sQ", 1, b"mdat", size + 8) + upload[start + 16 :]


MUXED = {
    **{
        f"{container} {' '.join(flags.split('+'))}": signals.muxed(
            container, [("aac", signals.tone(1.0, 44_100, 2))], 44_100, {"movflags": flags} if flags else {}
        )
        for container, flags in [
            ("ipod", ""),
            ("mov", ""),
            ("3gp", ""),
            ("ismv", ""),
            ("mp4", "dash+frag_keyframe"),
            ("mp4", "cmaf+frag_keyframe"),
            ("mp4", "frag_every_frame+empty_moov"),
            ("mp4", "frag_keyframe+delay_moov+separate_moof"),
        ]
    },
    "video": signals.muxed("mp4", [("aac", signals.tone(1.0, 44_100))], 44_100, with_video=True),
    "video in fragments": signals.muxed(
        "mp4",
        [("aac", signals.tone(1.0, 44_100))],
        44_100,
        {"movflags": "frag_keyframe+empty_moov"},
        with_video=True,
    ),
    "tags": with_tags(WHOLE),
    "size of 64 bits": with_wide_size(WHOLE),
}


@pytest.mark.parametrize("name", MUXED)
def test_nothing_that_is_heard_is_lost(name: str) -> None:
    upload = MUXED[name]
    shown = sound_of_mp4(upload)
    assert len(shown) == len(upload)
    np.testing.assert_array_equal(decoded_by_ffmpeg(shown), decoded_by_ffmpeg(upload))


def test_what_is_not_sound_is_not_shown() -> None:
    shown = sound_of_mp4(with_tags(WHOLE))
    for name in (b"udta", b"meta", b"ilst", b"covr", b"chpl", b"\xff\xd8\xff"):
        assert name not in shown[shown.index(b"moov") :]
    assert sound_of_mp4(shown) == shown
