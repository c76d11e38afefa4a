"""bytes -> Waveform: what every broken, foreign or oversized upload must become, and what may never happen."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import signals
from model.decoding import DecodingLimits, decode
from model.errors import AudioError, AudioTooLong, CorruptAudio, UnsupportedAudio
from model.track import decoder_errors_are_corrupt_audio

LIMITS = DecodingLimits()

# --- uploads that are refused -----------------------------------------------------------------------------------------

NOISE = signals.white_noise(0.5, seed=3)
NOISE_PCM = (NOISE * 32_767).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("upload", "named"),
    [
        pytest.param(b"", "0 bytes", id="empty"),
        pytest.param(b"This is a letter, and no audio.\n" * 9, "text", id="text"),
        pytest.param('{"größe": 1}'.encode(), "text", id="json"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG image", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(99), "JPEG image", id="jpeg"),
        pytest.param(b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(99), "WebP image", id="webp"),
        pytest.param(b"\x00\x00\x00\x1cftypheic" + bytes(99), "HEIF", id="heic"),
        pytest.param(signals.aiff(NOISE), "AIFF", id="aiff"),
        pytest.param(b"#!AMR\n" + bytes(range(256)), "AMR", id="amr"),
        pytest.param(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(99), "Windows Media", id="wma"),
        pytest.param(b"\xff\xf1\x50\x80" + bytes(99), "ADTS", id="raw aac"),
        pytest.param(signals.muxed("mp4", [], 48_000, with_video=True), "no audio but video", id="video-only mp4"),
        pytest.param(signals.muxed("ogg", [("flac", NOISE)], 16_000), "flac", id="flac in ogg"),
        pytest.param(signals.muxed("ipod", [("alac", NOISE)], 16_000), "alac", id="alac in m4a"),
        pytest.param(
            signals.muxed("matroska", [("opus", signals.tone(0.5, 48_000))], 48_000), "Matroska", id="matroska"
        ),
        pytest.param(signals.ID3_TAG + b"and then a letter", "ID3 tag", id="tag without audio"),
        pytest.param(np.random.default_rng(0).bytes(5_000), "no format known", id="random bytes"),
        pytest.param(bytes(5_000), "no format known", id="zeros"),
    ],
)
def test_what_is_no_format_of_ours_is_named_and_the_formats_listed(upload: bytes, named: str) -> None:
    with pytest.raises(UnsupportedAudio, match=named) as caught:
        decode(upload, LIMITS)
    assert "WAV, FLAC, MP3, Ogg Vorbis, Ogg Opus, WebM (Opus or Vorbis) or M4A (AAC)" in str(caught.value)


@pytest.mark.parametrize(
    ("upload", "actual", "allowed"),
    [
        pytest.param(signals.wav(NOISE, 384_000), "384000 Hz", "8000 to 192000", id="wav 384 kHz"),
        pytest.param(signals.flac(NOISE, 384_000), "384000 Hz", "8000 to 192000", id="flac 384 kHz"),
        pytest.param(signals.wav(NOISE, 4_000), "4000 Hz", "8000 to 192000", id="wav 4 kHz"),
        pytest.param(signals.raw_wav(NOISE_PCM, rate_hz=1), "1 Hz", "8000 to 192000", id="wav 1 Hz"),
        pytest.param(signals.raw_wav(NOISE_PCM, rate_hz=0), "0 Hz", "8000 to 192000", id="wav 0 Hz"),
        pytest.param(signals.wav(np.tile(NOISE, 9)), "9 channels", "1 to 8", id="wav 9 channels"),
        pytest.param(signals.ogg_vorbis(np.tile(NOISE, 9)), "9 channels", "1 to 8", id="vorbis 9 channels"),
        pytest.param(signals.raw_wav(NOISE_PCM, channels=1_024), "1024 channels", "1 to 8", id="wav 1024 channels"),
        pytest.param(signals.wav(NOISE, encoding="IMA_ADPCM"), "0x0011", "PCM", id="adpcm"),
        pytest.param(signals.raw_wav(NOISE_PCM, bits=16, tag=3), "16-bit float", "16-bit PCM", id="half float"),
    ],
)
def test_rates_channels_and_encodings_outside_the_contract(upload: bytes, actual: str, allowed: str) -> None:
    with pytest.raises(UnsupportedAudio) as caught:
        decode(upload, LIMITS)
    assert actual in str(caught.value)
    assert allowed in str(caught.value)


WHOLE = {
    "wav": signals.wav(NOISE),
    "flac": signals.flac(NOISE),
    "mp3": signals.mp3(NOISE),
    "ogg/vorbis": signals.ogg_vorbis(NOISE),
    "ogg/opus": signals.ogg_opus(NOISE),
    "webm/opus": signals.webm(signals.tone(0.5, 48_000)),
    "m4a/aac": signals.m4a(signals.tone(0.5, 44_100)),
    "m4a/aac in fragments": signals.m4a(signals.tone(0.5, 44_100), fragmented=True),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_states_its_length_and_is_shorter_was_cut_off(name: str, kept: float) -> None:
    whole = WHOLE[name]
    assert decode(whole, LIMITS).duration_s > 0.4
    with pytest.raises(CorruptAudio):
        decode(whole[: max(16, int(kept * len(whole)))], LIMITS)


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_without_its_last_byte_was_cut_off(name: str) -> None:
    with pytest.raises(CorruptAudio):
        decode(WHOLE[name][:-1], LIMITS)


@pytest.mark.parametrize("name", ["flac", "ogg/vorbis", "ogg/opus"])
@pytest.mark.parametrize("place", [0.5, 0.7, 0.95])
def test_formats_with_checksums_notice_one_flipped_bit(name: str, place: float) -> None:
    damaged = bytearray(WHOLE[name])
    damaged[int(place * len(damaged))] ^= 0x10
    with pytest.raises(CorruptAudio):
        decode(bytes(damaged), LIMITS)


def test_an_open_ended_flac_notices_damage_and_a_cut_too() -> None:
    upload = signals.open_ended_flac(signals.white_noise(2.0, seed=4))
    damaged = bytearray(upload)
    damaged[len(damaged) // 2] ^= 0x10
    for broken in (bytes(damaged), upload[: len(upload) // 2]):
        with pytest.raises(CorruptAudio):
            decode(broken, LIMITS)


@pytest.mark.parametrize(
    ("upload", "named"),
    [
        pytest.param(signals.raw_wav(b""), "no audio", id="wav without samples"),
        pytest.param(signals.raw_wav(b"\x00" * 6, rate_hz=192_000), "3 samples", id="too short to resample"),
        pytest.param(signals.raw_wav(NOISE_PCM, n_stated_bytes=len(NOISE_PCM) + 1), "cut off", id="wav one byte short"),
        pytest.param(signals.raw_wav(NOISE_PCM, n_frame_bytes=0), "contradicts itself", id="wav frames of 0 bytes"),
        pytest.param(signals.raw_wav(NOISE_PCM, channels=0), "contradicts itself", id="wav 0 channels"),
        pytest.param(WHOLE["wav"][:36], "'data' chunk", id="wav header only"),
        pytest.param(b"RIFF\x00", "first header", id="riff only"),
        pytest.param(b"RIFF\xff\x00\x00\x00WAVEdata\x10\x00\x00\x00" + bytes(16), "'fmt ' chunk", id="no format"),
        pytest.param(signals.ID3_TAG[:40], "inside its ID3 tag", id="cut in the tag"),
        pytest.param(signals.wav(np.full((800, 1), np.nan, np.float32), encoding="FLOAT"), "NaN", id="nan"),
        pytest.param(signals.wav(np.full((800, 2), np.inf, np.float32), encoding="FLOAT"), "NaN", id="infinity"),
        pytest.param(signals.wav(np.full((800, 8), 3e38, np.float32), encoding="FLOAT"), "NaN", id="overflow"),
        pytest.param(signals.wav(NOISE * 32_768, encoding="FLOAT"), "full scale is 1", id="integers as floats"),
    ],
)
def test_broken_audio_is_corrupt_and_says_how(upload: bytes, named: str) -> None:
    with pytest.raises(CorruptAudio, match=named):
        decode(upload, LIMITS)


def test_one_nan_in_one_of_eight_channels_is_noticed() -> None:
    samples = np.tile(signals.white_noise(2.0), 8)
    samples[20_000, 5] = np.nan
    with pytest.raises(CorruptAudio, match="NaN"):
        decode(signals.wav(samples, encoding="FLOAT"), LIMITS)


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["wav", "flac", "mp3", "ogg/vorbis", "ogg/opus", "webm/opus", "webm/vorbis", "m4a/aac"]
)
def test_a_clip_that_states_too_long_a_duration(name: str) -> None:
    encode, rates_hz, channels = signals.FORMATS[name]
    upload = encode(signals.silence(3.0, rates_hz[0], channels[0]), rates_hz[0])
    with pytest.raises(AudioTooLong, match=r"3\.\d s; at most 2 s"):
        decode(upload, replace(LIMITS, max_duration_s=2.0))


@pytest.mark.parametrize(
    "upload",
    [
        pytest.param(signals.raw_wav(bytes(96_000), n_stated_bytes=0xFFFF_FFFF), id="wav"),
        pytest.param(signals.open_ended_flac(signals.silence(3.0)), id="flac"),
        pytest.param(signals.webm(signals.silence(3.0, 48_000), live=True), id="webm"),
    ],
)
def test_a_clip_that_states_nothing_is_counted_while_it_is_decoded(upload: bytes) -> None:
    with pytest.raises(AudioTooLong, match="more than 2 s; at most 2 s"):
        decode(upload, replace(LIMITS, max_duration_s=2.0))


def test_half_an_hour_is_too_long_whether_stated_or_not() -> None:
    hours = signals.silence(1_800.0, 8_000)
    for upload in (signals.flac(hours, 8_000), signals.open_ended_flac(hours, 8_000)):
        assert len(upload) < 100_000
        with pytest.raises(AudioTooLong, match="at most 120 s"):
            decode(upload, LIMITS)


def test_a_flac_that_states_years_and_has_a_second() -> None:
    upload = bytearray(signals.flac(signals.tone(1.0)))
    upload[21] |= 0x0F
    with pytest.raises(AudioTooLong):
        decode(bytes(upload), LIMITS)


def test_audio_in_tiny_packets_is_refused_while_it_is_decoded() -> None:
    """24,000 frames in 2 s, each with the work of a whole one; refused after the first tenth of a second."""
    upload = signals.flac_in_frames(signals.tone(2.0, 192_000), 192_000, 16)
    with pytest.raises(UnsupportedAudio, match=r"first 0\.\d\d s of audio are cut into 1\d\d\d packets"):
        decode(upload, LIMITS)


@pytest.mark.parametrize("rate_hz", [8_000, 192_000])
def test_the_shortest_frames_of_flacs_streamable_subset_are_read(rate_hz: int) -> None:
    upload = signals.flac_in_frames(signals.tone(3.0, rate_hz), rate_hz, 192)
    assert decode(upload, LIMITS).duration_s == pytest.approx(3.0, abs=0.03)


def test_vorbis_in_short_windows_only_is_read() -> None:
    clicks = signals.silence(2.0, 192_000)
    clicks[::700] = 0.9
    assert decode(signals.ogg_vorbis(clicks, 192_000), LIMITS).duration_s == pytest.approx(2.0, abs=0.01)


# --- what may never happen --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WHOLE, "webm, live"])
def test_damage_of_any_kind_is_an_audio_error_or_audio(name: str) -> None:
    rng = np.random.default_rng(list(name.encode()))
    whole = signals.webm(signals.tone(0.5, 48_000), live=True) if name == "webm, live" else WHOLE[name]
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(damaged), rng.integers(1, 12)):
            damaged[place] = rng.integers(256)
        for place in rng.integers(0, min(300, len(damaged)), rng.integers(0, 4)):
            damaged[place] = rng.choice([0, 0x7F, 0x80, 0xFF])
        if rng.random() < 0.4:
            del damaged[rng.integers(0, len(damaged)) :]
        try:
            samples = decode(bytes(damaged), LIMITS).samples
        except AudioError:
            continue
        assert len(samples) > 0
        assert np.isfinite(samples).all()


def test_nothing_is_printed_about_healthy_or_damaged_files(capfd: pytest.CaptureFixture[str]) -> None:
    for whole in WHOLE.values():
        decode(whole, LIMITS)
        damaged = bytearray(whole)
        damaged[len(damaged) // 2 : len(damaged) // 2 + 200] = bytes(200)
        try:
            decode(bytes(damaged), LIMITS)
        except CorruptAudio:
            continue
    assert capfd.readouterr() == ("", "")


def test_running_out_of_memory_and_interrupts_are_not_the_uploads_fault() -> None:
    for error in (MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(error)), decoder_errors_are_corrupt_audio("WAV"):
            raise error
    with pytest.raises(CorruptAudio), decoder_errors_are_corrupt_audio("WAV"):
        raise ValueError("from a library")


def test_decoding_loads_no_network_library() -> None:
    script = "import sys, model.decoding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_signalling_nan_is_refused_without_a_warning() -> None:
    samples = np.full(800, 0x7F80_0001, np.uint32).tobytes()
    with pytest.raises(CorruptAudio, match="NaN"):
        decode(signals.raw_wav(samples, bits=32, tag=3), LIMITS)
