"""bytes -> Waveform: what every format, rate and channel count must keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soxr

import signals
from model.decoding import CODEC_PADDING_S, DecodingLimits, decode
from model.errors import CorruptAudio
from model.waveform import SAMPLE_RATE_HZ, Samples

LIMITS = DecodingLimits()
CODEC_DELAY_S = 0.05
EVERY_FORMAT = [
    (name, rate_hz, channels)
    for name, (_, rates_hz, channel_counts) in signals.FORMATS.items()
    for rate_hz in rates_hz
    for channels in channel_counts
]


def amplitude_at(samples: Samples, frequency_hz: float) -> float:
    """Amplitude of a sine of this frequency in the middle half second of a clip."""
    middle = samples[len(samples) // 2 - 4_000 : len(samples) // 2 + 4_000].astype(np.float64)
    t = np.arange(len(middle)) / SAMPLE_RATE_HZ
    window = np.hanning(len(middle))
    return float(2 * np.abs(np.sum(window * middle * np.exp(-2j * np.pi * frequency_hz * t))) / window.sum())


def pitch_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=4 * len(samples)))
    return float(spectrum.argmax() * SAMPLE_RATE_HZ / (4 * len(samples)))


# --- what decoding keeps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rate_hz", "channels"), EVERY_FORMAT)
def test_every_format_keeps_duration_and_pitch(name: str, rate_hz: int, channels: int) -> None:
    encode = signals.FORMATS[name][0]
    waveform = decode(encode(signals.tone(1.0, rate_hz, channels), rate_hz), LIMITS)
    assert waveform.samples.dtype == np.float32
    assert waveform.samples.ndim == 1
    assert waveform.duration_s == pytest.approx(1.0, abs=0.01 + CODEC_DELAY_S)
    assert pitch_hz(waveform.samples) == pytest.approx(440.0, abs=1.0)
    assert waveform.source.format == name
    assert waveform.source.channels == channels
    assert waveform.source.sample_rate_hz == (48_000 if name.endswith("opus") else rate_hz)


@pytest.mark.parametrize("encode", [signals.wav, signals.flac])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 192_000])
def test_lossless_is_the_mean_of_the_channels_resampled_once(
    encode: signals.Encode, channels: int, rate_hz: int
) -> None:
    """Blocks are resampled as they come; the result is that of the whole clip at once."""
    samples = signals.white_noise(0.7, rate_hz, channels, seed=channels)
    expected = soxr.resample(samples.mean(axis=1), rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    decoded = decode(encode(samples, rate_hz), LIMITS).samples
    assert len(decoded) == len(expected)
    np.testing.assert_allclose(decoded, expected, atol=1.5 / 32_768)


@pytest.mark.parametrize("name", ["mp3", "ogg/vorbis", "ogg/opus", "webm/opus", "webm/vorbis", "m4a/aac"])
def test_lossy_stereo_is_mixed_evenly(name: str) -> None:
    encode, rates_hz, _ = signals.FORMATS[name]
    rate_hz = rates_hz[1]
    left = signals.tone(1.0, rate_hz, frequency_hz=400.0)
    right = signals.tone(1.0, rate_hz, frequency_hz=900.0)
    decoded = decode(encode(np.hstack([left, right]), rate_hz), LIMITS).samples
    assert amplitude_at(decoded, 400.0) == pytest.approx(0.25, rel=0.15)
    assert amplitude_at(decoded, 900.0) == pytest.approx(0.25, rel=0.15)


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("encoding", "step"),
    [
        ("PCM_U8", 2**-7),
        ("PCM_16", 2**-15),
        ("PCM_24", 2**-23),
        ("PCM_32", 2**-23),
        ("FLOAT", 2**-23),
        ("DOUBLE", 2**-23),
        ("ALAW", 0.02),
        ("ULAW", 0.02),
    ],
)
def test_every_wav_encoding_is_read_to_its_own_precision(encoding: str, step: float, extensible: bool) -> None:
    samples = signals.tone(0.5)
    decoded = decode(signals.wav(samples, encoding=encoding, extensible=extensible), LIMITS).samples
    np.testing.assert_allclose(decoded, samples[:, 0], atol=1.01 * step)


@pytest.mark.parametrize("encoding", ["PCM_S8", "PCM_16", "PCM_24"])
def test_every_flac_depth_has_full_scale_at_one(encoding: str) -> None:
    decoded = decode(signals.flac(signals.tone(0.5), encoding=encoding), LIMITS).samples
    assert np.abs(decoded).max() == pytest.approx(0.5, abs=0.01)


def test_a_clip_of_exactly_the_limit_is_read_in_every_kind_of_format() -> None:
    limits = replace(LIMITS, max_duration_s=2.0)
    for name, (encode, rates_hz, channels) in signals.FORMATS.items():
        clip = encode(signals.tone(2.0, rates_hz[0], channels[0]), rates_hz[0])
        assert decode(clip, limits).duration_s <= 2.0 + CODEC_PADDING_S, name


# --- streams that state no length -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_stated_bytes", [0, 0xFFFF_FFFF, 0x7FFF_F000, 0x8000_0000])
def test_a_wav_whose_recorder_could_not_seek_back_is_read_to_its_end(n_stated_bytes: int) -> None:
    payload = signals.white_noise(1.0, seed=1).astype("<f4").tobytes()
    upload = signals.raw_wav(payload, bits=32, tag=3, n_stated_bytes=n_stated_bytes)
    assert decode(upload, LIMITS).duration_s == 1.0


def test_a_wav_that_is_really_empty_is_not_read_into_its_trailer() -> None:
    upload = signals.raw_wav(b"", trailer=b"LIST\x04\x00\x00\x00INFO")
    with pytest.raises(CorruptAudio, match="no audio"):
        decode(upload, LIMITS)


def test_a_flac_of_unstated_length_is_read_to_its_last_sample() -> None:
    samples = signals.white_noise(1.2345, seed=2)
    decoded = decode(signals.open_ended_flac(samples), LIMITS).samples
    np.testing.assert_allclose(decoded, samples[:, 0], atol=1.5 / 32_768)


def test_a_browser_recording_is_read_however_it_ends() -> None:
    upload = signals.webm(signals.tone(2.0, 48_000), live=True)
    assert decode(upload, LIMITS).duration_s == pytest.approx(2.0, abs=0.05)
    for n_cut in (1, 17, len(upload) // 2):
        kept = decode(upload[:-n_cut], LIMITS).duration_s
        assert 0.5 < kept <= 2.05


def test_a_fragmented_m4a_is_read() -> None:
    upload = signals.m4a(signals.tone(2.0, 44_100), fragmented=True)
    assert decode(upload, LIMITS).duration_s == pytest.approx(2.0, abs=0.01 + CODEC_DELAY_S)


# --- containers with more than one thing in them ----------------------------------------------------------------------


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("webm", "opus")])
def test_the_first_audio_track_is_taken_and_video_ignored(container: str, codec: str) -> None:
    first = signals.tone(1.0, 48_000, frequency_hz=500.0)
    second = signals.tone(1.0, 48_000, frequency_hz=1_500.0)
    upload = signals.muxed(container, [(codec, first), (codec, second)], 48_000, with_video=True)
    assert pitch_hz(decode(upload, LIMITS).samples) == pytest.approx(500.0, abs=1.0)


def test_the_first_of_chained_ogg_streams_is_taken() -> None:
    first = signals.ogg_opus(signals.tone(1.0, frequency_hz=500.0))
    second = signals.ogg_vorbis(signals.tone(1.0, 44_100, 2), 44_100)
    waveform = decode(first + second, LIMITS)
    assert waveform.duration_s == pytest.approx(1.0, abs=0.01)
    assert pitch_hz(waveform.samples) == pytest.approx(500.0, abs=1.0)


@pytest.mark.parametrize("tags", [signals.ID3_TAG, signals.ID3_TAG + signals.ID3_TAG, signals.ID3_TAG + bytes(100)])
def test_an_mp3_is_read_behind_its_tags(tags: bytes) -> None:
    upload = signals.mp3(signals.tone(1.0))
    trailer = b"TAG" + bytes(125)
    assert decode(tags + upload + trailer, LIMITS).duration_s == pytest.approx(1.0, abs=0.01)


# --- real voices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpus", ["librispeech-test-other", "dspspeech20", "speechocean762"])
def test_real_recordings_decode_to_plausible_levels(corpus: str) -> None:
    for upload in signals.voices(corpus, 5):
        waveform = decode(upload, LIMITS)
        assert 0.5 < waveform.duration_s < 40.0
        assert 0.01 < float(np.abs(waveform.samples).max()) < 1.5
