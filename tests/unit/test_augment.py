"""What happens to a waveform: voices, rooms, noise, codecs, and the chain of them."""

import numpy as np
import pytest

import voicemaking
from model.waveform import SAMPLE_RATE_HZ, Samples
from training.augment.codecs import CODECS, code, random_codec, telephone
from training.augment.noise import babble, coloured_noise, mix_at_snr
from training.augment.render import RenderConfig, build_rooms, render
from training.augment.rooms import random_room, reverberate
from training.augment.voices import Voice, change_voice, shift_formants

VOICE = voicemaking.voice(speaker=1, clip=0, duration_s=2.0)


def centroid_hz(samples: Samples) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float((np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ) * power).sum() / power.sum())


def band_power(samples: Samples, low_hz: float, high_hz: float) -> float:
    frequencies_hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    chosen = (frequencies_hz >= low_hz) & (frequencies_hz < high_hz)
    return float((np.abs(np.fft.rfft(samples)[chosen]) ** 2).sum())


def pulses(pitch_hz: float, duration_s: float = 1.0) -> Samples:
    """A buzz of a known pitch through one formant at 800 Hz."""
    n = int(duration_s * SAMPLE_RATE_HZ)
    t = np.arange(n) / SAMPLE_RATE_HZ
    waves = [
        np.exp(-(((k * pitch_hz - 800.0) / 300.0) ** 2)) * np.cos(2 * np.pi * k * pitch_hz * t) for k in range(1, 30)
    ]
    return (0.1 * np.sum(waves, axis=0)).astype(np.float32)


def strongest_hz(samples: Samples) -> float:
    return float(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)[np.argmax(np.abs(np.fft.rfft(samples)))])


def test_a_speed_scales_length_and_pitch() -> None:
    faster = change_voice(pulses(100.0), Voice(speed=1.25))
    assert len(faster) == pytest.approx(SAMPLE_RATE_HZ / 1.25, abs=1)
    assert strongest_hz(faster) == pytest.approx(800.0 * 1.25, rel=0.01)


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_formants_move_and_the_pitch_stays(factor: float) -> None:
    before = pulses(100.0)
    after = shift_formants(before, factor)
    assert after.shape == before.shape
    # The harmonics stay where they were: multiples of 100 Hz.
    assert strongest_hz(after) % 100.0 == pytest.approx(0.0, abs=1.0)
    assert centroid_hz(after) / centroid_hz(before) == pytest.approx(factor, rel=0.08)


def test_the_own_voice_is_the_clip_itself() -> None:
    assert np.array_equal(change_voice(VOICE, Voice()), VOICE)
    assert np.abs(shift_formants(VOICE, 1.0) - VOICE).max() < 1e-6


def test_a_clip_under_one_frame_keeps_its_formants() -> None:
    assert np.array_equal(shift_formants(VOICE[:500], 1.2), VOICE[:500])


def test_voices_have_names_of_their_own() -> None:
    assert [Voice().name, Voice(0.9).name, Voice(1.1, 0.88).name] == ["1", "0.9", "1.1f0.88"]


def test_a_room_begins_with_its_direct_sound_and_has_energy_one() -> None:
    response = random_room(np.random.default_rng(1))
    assert np.argmax(np.abs(response)) == 0
    assert np.sum(response**2) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(response, random_room(np.random.default_rng(1)))


def test_a_longer_reverberation_time_rings_longer() -> None:
    def tail_share(t60_s: float) -> float:
        shares = []
        for seed in range(8):
            response = random_room(np.random.default_rng(seed), (t60_s, t60_s))
            shares.append(np.sum(response[SAMPLE_RATE_HZ // 20 :] ** 2))
        return float(np.mean(shares))

    assert tail_share(0.2) < tail_share(0.7)


def test_reverberation_keeps_the_length_and_the_start() -> None:
    wet = reverberate(VOICE, np.array([1.0, 0.0, 0.5], np.float32))
    assert wet.shape == VOICE.shape
    assert wet[0] == pytest.approx(VOICE[0], abs=1e-6)
    assert wet[10] == pytest.approx(VOICE[10] + 0.5 * VOICE[8], abs=1e-5)


@pytest.mark.parametrize("slope", [-6.0, 0.0, 3.0])
def test_noise_has_its_colour_and_power_one(slope: float) -> None:
    noise = coloured_noise(16 * SAMPLE_RATE_HZ, slope, np.random.default_rng(1))
    assert np.mean(noise**2) == pytest.approx(1.0, abs=1e-4)
    # An octave higher is twice as wide, so white noise has 3 dB more in it.
    ratio = band_power(noise, 2_000, 4_000) / band_power(noise, 1_000, 2_000)
    assert 10 * np.log10(ratio) == pytest.approx(slope + 3.01, abs=0.3)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_is_mixed_at_its_ratio(snr_db: float) -> None:
    noise = coloured_noise(5_000, 0.0, np.random.default_rng(1))  # shorter than the clip: it repeats
    added = mix_at_snr(VOICE, noise, snr_db) - VOICE
    assert 10 * np.log10(np.mean(VOICE**2) / np.mean(added**2)) == pytest.approx(snr_db, abs=0.01)


def test_silence_stays_silent_and_takes_no_noise() -> None:
    silence = np.zeros(1_000, np.float32)
    assert np.array_equal(mix_at_snr(silence, VOICE, 10.0), silence)
    assert np.array_equal(mix_at_snr(VOICE, silence, 10.0), VOICE)
    assert np.array_equal(mix_at_snr(VOICE, VOICE[:0], 10.0), VOICE)


def test_babble_is_all_of_its_voices() -> None:
    others = [voicemaking.voice(speaker=s, clip=0, duration_s=0.5) for s in (2, 3, 4)]
    crowd = babble(others, SAMPLE_RATE_HZ, np.random.default_rng(1))
    assert crowd.shape == (SAMPLE_RATE_HZ,)
    # Independent voices of power 1 each.
    assert np.mean(crowd**2) == pytest.approx(3.0, rel=0.3)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_a_codec_keeps_length_time_and_most_of_the_speech(name: str) -> None:
    heard = CODECS[name](VOICE)
    assert heard.shape == VOICE.shape
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    inside = (500.0, 3_000.0)
    kept = band_power(heard, *inside) / band_power(VOICE, *inside)
    assert 0.4 < kept < 1.6
    # No delay is left: the envelopes of 20 ms match best where they stand.
    envelopes = [np.abs(x[: len(x) // 320 * 320]).reshape(-1, 320).mean(axis=1) for x in (VOICE, heard)]
    shifts = [np.corrcoef(envelopes[0][5:-5], np.roll(envelopes[1], -shift)[5:-5])[0, 1] for shift in range(-3, 4)]
    assert int(np.argmax(shifts)) - 3 in (-1, 0, 1)
    assert max(shifts) > 0.9


def test_the_telephone_has_no_more_than_its_band() -> None:
    noise = 0.1 * coloured_noise(2 * SAMPLE_RATE_HZ, 0.0, np.random.default_rng(1))
    heard = telephone(noise)
    inside = band_power(heard, 500, 3_000) / 2_500
    assert band_power(heard, 4_100, 8_000) / 3_900 < 1e-3 * inside
    assert band_power(heard, 0, 100) / 100 < 1e-2 * inside


def test_a_lower_rate_costs_more() -> None:
    errors = [float(np.mean((code(VOICE, "mp3", rate) - VOICE) ** 2)) for rate in (16_000, 32_000)]
    assert errors[0] > errors[1]


def test_what_is_over_full_scale_is_clipped_before_coding() -> None:
    assert np.array_equal(code(20.0 * VOICE, "mu_law"), code(np.clip(20.0 * VOICE, -1.0, 1.0), "mu_law"))


def test_a_random_codec_repeats_with_its_generator() -> None:
    a, b = (random_codec(VOICE, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(a, b)


def test_a_version_repeats_with_its_generator_and_differs_from_the_clip() -> None:
    config = RenderConfig(n_versions=2, n_rooms=2, room=1.0, noise=1.0, babble=1.0, codec=1.0)
    rooms = build_rooms(config, seed=1)
    other = voicemaking.voice(speaker=9, clip=0, duration_s=1.0)
    a, b, c = (render(VOICE, config, rooms, lambda rng: other, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.shape == VOICE.shape
    assert np.abs(a - VOICE).max() > 0.01


def test_no_effect_leaves_the_clip_alone() -> None:
    config = RenderConfig(n_versions=2, room=0.0, noise=0.0, babble=0.0, codec=0.0)
    heard = render(VOICE, config, build_rooms(config, 1), lambda rng: VOICE, np.random.default_rng(1))
    assert np.array_equal(heard, VOICE)
