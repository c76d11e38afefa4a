"""Opus packets by RFC 6716's rules, laid out here by hand; and packets of real clips, which sound like the clips."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import signals
from model.decoding import DecodingLimits, decode
from model.errors import CorruptAudio
from model.framing import first_ogg_link
from model.opus_packets import MAX_PACKET_BYTES, OggOpusFile, n_packet_samples
from model.waveform import SAMPLE_RATE_HZ, Samples
from shipped import CLIPS

TOC_20_MS = 0x78
"""Hybrid, full band, mono: configuration 15, one frame."""
FRAMES_MS = [10, 20, 40, 60] * 3 + [10, 20] * 2 + [2.5, 5, 10, 20] * 4
"""RFC 6716, table 2."""
PADDING = [0, 1, 253, 254, 255, 508, 600]


def ogg(packets: Sequence[bytes]) -> bytes:
    file = OggOpusFile()
    return b"".join(map(file.add, packets))


def heard(packets: Sequence[bytes]) -> Samples:
    return decode(ogg(packets), DecodingLimits()).samples


def stated_size(n_bytes: int) -> bytes:
    """RFC 6716, section 3.2.1."""
    if n_bytes < 252:
        return bytes([n_bytes])
    return bytes([252 + n_bytes % 4, (n_bytes - 252 - n_bytes % 4) // 4])


def many_frames(config: int, frames: Sequence[bytes], n_padding: int, *, is_vbr: bool) -> bytes:
    """A packet of code 3 (RFC 6716, section 3.2.5). `n_padding` is without the bytes that state it."""
    count = len(frames) | (0x80 if is_vbr else 0) | (0x40 if n_padding else 0)
    stated = b"\xff" * ((n_padding - 1) // 254) + bytes([(n_padding - 1) % 254 + 1]) if n_padding else b""
    sizes = b"".join(stated_size(len(frame)) for frame in frames[:-1]) if is_vbr else b""
    return bytes([config << 3 | 3, count]) + stated + sizes + b"".join(frames) + bytes(n_padding)


@pytest.mark.parametrize("name", ["speaker-a-1", "speaker-a-3", "speaker-b-1"])
def test_the_packets_of_a_clip_sound_like_the_clip(name: str) -> None:
    upload = (CLIPS / f"{name}.ogg").read_bytes()
    whole = decode(upload, DecodingLimits()).samples
    pre_skip = int.from_bytes(upload[upload.index(b"OpusHead") + 10 :][:2], "little")
    assert pre_skip % 3 == 0
    samples = heard(signals.opus_packets(upload))[pre_skip // 3 :][: len(whole)]  # 48 kHz -> 16 kHz
    # At its ends the file is cut, and a resampler rings there.
    assert samples[100:-200] == pytest.approx(whole[100:-200], abs=1e-4)
    assert len(samples) == len(whole)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_channels_may_change_and_the_mean_is_heard(first: int, second: int) -> None:
    voice = soundfile.read(CLIPS / "speaker-a-1.ogg", dtype="float32")[0][: 4 * SAMPLE_RATE_HZ]
    packets = {
        1: signals.opus_packets(signals.ogg_opus(voice[:, None])),
        2: signals.opus_packets(signals.ogg_opus(np.stack([voice, voice / 2], axis=1))),
    }
    samples = heard(packets[first][:100] + packets[second][100:])
    as_loud = [np.std(samples[a:b]) / np.std(voice[a:b]) for a, b in ((8_000, 30_000), (36_000, 62_000))]
    assert as_loud == pytest.approx([1.0 if n == 1 else 0.75 for n in (first, second)], abs=0.03)


def test_a_packet_that_holds_nothing_is_time_that_passes() -> None:
    packets = signals.opus_packets((CLIPS / "speaker-a-1.ogg").read_bytes())
    samples = heard([*packets[:50], *[bytes([TOC_20_MS])] * 50, *packets[50:]])
    assert len(samples) == (len(packets) + 50) * SAMPLE_RATE_HZ // 50
    assert np.abs(samples[20_000:31_000]).max() < 1e-3


@pytest.mark.parametrize("config", range(32))
def test_a_frame_lasts_as_its_configuration_says(config: int) -> None:
    one = FRAMES_MS[config] * 48
    assert n_packet_samples(bytes([config << 3, 1, 2, 3])) == one
    assert n_packet_samples(bytes([config << 3 | 4 | 1, 1, 2])) == 2 * one
    assert n_packet_samples(bytes([config << 3 | 2, 1, 2])) == 2 * one
    most = int(120 / FRAMES_MS[config])
    assert n_packet_samples(bytes([config << 3 | 3, most]) + bytes(most)) == 5_760
    with pytest.raises(CorruptAudio, match=r"ms of audio, and one lasts at most 120 ms\.$"):
        n_packet_samples(bytes([config << 3 | 3, most + 1]) + bytes(most + 1))


@pytest.mark.parametrize(
    "packet",
    [
        bytes([TOC_20_MS]) + bytes(1_276),
        bytes([TOC_20_MS | 1, 0]),
        bytes([TOC_20_MS | 2]),
        bytes([TOC_20_MS | 2, 252]),
        bytes([TOC_20_MS | 2, 2, 0]),
        bytes([TOC_20_MS | 3]),
        bytes([TOC_20_MS | 3, 0]),
        bytes([TOC_20_MS | 3, 0x80]),
        bytes([TOC_20_MS | 3, 2, 0]),
        bytes([TOC_20_MS | 3, 0x41]),
        bytes([TOC_20_MS | 3, 0x41, 255]),
        bytes([TOC_20_MS | 3, 0x41, 2, 0]),
        bytes([TOC_20_MS | 3, 0x83, 1]),
        bytes([TOC_20_MS | 3, 0x82, 3, 0, 0]),
        bytes([TOC_20_MS | 3, 0xC2, 2, 1, 0, 0]),
    ],
    ids=lambda packet: packet[:6].hex(),
)
def test_what_breaks_a_rule_of_the_framing_is_no_packet(packet: bytes) -> None:
    with pytest.raises(
        CorruptAudio, match=rf"^This is no Opus packet: {len(packet)} bytes are not what its first ones"
    ):
        n_packet_samples(packet)


@pytest.mark.parametrize("n_bytes", [0, MAX_PACKET_BYTES + 1])
def test_a_packet_has_a_byte_and_no_needless_padding(n_bytes: int) -> None:
    with pytest.raises(
        CorruptAudio, match=rf"An Opus packet of {n_bytes} bytes is not read; 1 to 61440 are\. Send each"
    ):
        n_packet_samples(bytes(n_bytes))


def test_the_largest_packet_fits_a_page() -> None:
    padded = many_frames(15, [b"x"], MAX_PACKET_BYTES - 244, is_vbr=False)
    assert len(padded) == MAX_PACKET_BYTES
    assert signals.opus_packets(ogg([padded, padded])) == [padded, padded]


def test_which_packet_is_wrong_is_said() -> None:
    file = OggOpusFile()
    file.add(bytes([TOC_20_MS]))
    with pytest.raises(CorruptAudio, match=r"^Packet 2: This is no Opus packet"):
        file.add(bytes([TOC_20_MS | 1, 0]))


@given(
    st.integers(0, 31),
    st.lists(st.binary(max_size=600), min_size=1, max_size=6),
    st.sampled_from(PADDING),
    st.booleans(),
)
def test_frames_of_any_size_are_counted(config: int, frames: list[bytes], n_padding: int, is_vbr: bool) -> None:
    alike = frames if is_vbr else [frames[0]] * len(frames)
    packet = many_frames(config, alike, n_padding, is_vbr=is_vbr)
    n_samples = round(len(frames) * FRAMES_MS[config] * 48)
    if n_samples > 5_760:
        with pytest.raises(CorruptAudio, match="one lasts at most 120 ms"):
            n_packet_samples(packet)
    else:
        assert n_packet_samples(packet) == n_samples
    if is_vbr and len(frames) > 1:
        with pytest.raises(CorruptAudio):  # cut off before the last frame
            n_packet_samples(packet[: len(packet) - n_padding - len(frames[-1]) - 1])


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_refused(packet: bytes) -> None:
    try:
        n_samples = n_packet_samples(packet)
    except CorruptAudio:
        return
    assert n_samples in range(120, 5_761, 120)


@given(st.lists(st.binary(max_size=1_275), min_size=1, max_size=12))
def test_the_file_gives_the_packets_back_and_is_whole_after_each(frames: list[bytes]) -> None:
    packets = [bytes([TOC_20_MS | len(frame) % 2 * 4]) + frame for frame in frames]
    file = OggOpusFile()
    data = b""
    for i, packet in enumerate(packets, start=1):
        data += file.add(packet)
        assert first_ogg_link(data) == data
        assert file.duration_s == pytest.approx(0.02 * i)
    with av.open(io.BytesIO(data)) as opened:
        stream = opened.streams.audio[0]
        assert (stream.sample_rate, stream.channels) == (48_000, 2 if len(frames[0]) % 2 else 1)
        starts = [packet.pts for packet in opened.demux(stream) if packet.size]
    assert starts == [960 * i for i in range(len(packets))]
    assert signals.opus_packets(data) == packets
