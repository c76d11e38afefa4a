"""Conditions of a clip, with a detector that hears by loudness; then clips heard under them by an untrained encoder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.encoder import WaveformEncoder
from model.quality import assess
from model.scoring import unit
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform
from tiny_bundle import CONFIG
from training.conditions import CONDITIONS, cut_between, cut_to, full, in_noise, one_after_another, through_any
from training.corpora.utterance import CorpusError
from training.heard import HeardClips, hear_files, hear_whole
from voicemaking import voice

N_WINDOW = 512
WINDOW_S = N_WINDOW / SAMPLE_RATE_HZ


class LoudnessDetector:
    """Takes for speech what is louder than -40 dB re full scale."""

    n_window_samples = N_WINDOW

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        padded = np.pad(samples, (0, -len(samples) % N_WINDOW)).reshape(-1, N_WINDOW)
        return (np.sqrt((padded**2).mean(axis=1)) > 0.01).astype(np.float32)


DETECTOR = LoudnessDetector()


def syllables(n_syllables: int, n_windows_each: int, seed: int = 0) -> Samples:
    """Noise bursts with as long pauses between; every sample is different, so that a stretch can be found again."""
    rng = np.random.default_rng(seed)
    burst = np.repeat(np.tile([0.0, 1.0], n_syllables), n_windows_each * N_WINDOW)
    return (burst * rng.uniform(0.05, 0.3, len(burst)) * rng.choice([-1, 1], len(burst))).astype(np.float32)


def speech_of(samples: Samples) -> float:
    return assess(Waveform(samples, Source("made", SAMPLE_RATE_HZ, 1)), DETECTOR).speech_s


@given(speech_s=st.floats(0.1, 3.0), seed=st.integers(0, 1000))
def test_a_cut_is_a_stretch_of_the_clips_speech_between_its_pauses(speech_s: float, seed: int) -> None:
    before, after = (np.full(n * N_WINDOW, 1e-4, np.float32) for n in (5, 3))
    clip = np.concatenate([before, syllables(12, 8, seed), after])
    cut = cut_to(speech_s)(clip, DETECTOR, np.random.default_rng(seed))
    assert cut is not None
    assert speech_s <= speech_of(cut) + 1e-9 <= speech_s + WINDOW_S + 2e-9
    n_before = len(before) + 8 * N_WINDOW  # the first syllable comes after a pause
    assert np.array_equal(cut[:n_before], clip[:n_before])
    assert np.array_equal(cut[-len(after) :], after)
    stretch = cut[n_before : -len(after)]
    assert DETECTOR.probabilities(stretch[:N_WINDOW])[0] == DETECTOR.probabilities(stretch[-N_WINDOW:])[0] == 1
    start = int(np.flatnonzero(clip == stretch[0])[0])
    assert np.array_equal(clip[start : start + len(stretch)], stretch)


def test_there_is_no_cut_of_more_speech_than_there_is() -> None:
    clip = syllables(4, 8)
    rng = np.random.default_rng(0)
    assert cut_to(32 * WINDOW_S)(clip, DETECTOR, rng) is not None
    assert cut_to(33 * WINDOW_S)(clip, DETECTOR, rng) is None
    assert cut_between(33 * WINDOW_S, 99.0)(clip, DETECTOR, rng) is None
    assert cut_to(0.1)(np.zeros(100, np.float32), DETECTOR, rng) is None


def test_cuts_between_two_lengths_are_spread_over_their_logarithm() -> None:
    clip = syllables(40, 8)
    rng = np.random.default_rng(1)
    cuts = [cut_between(0.3, 4.8)(clip, DETECTOR, rng) for _ in range(400)]
    speech_s = np.array([speech_of(cut) for cut in cuts if cut is not None])
    assert len(speech_s) == 400
    assert speech_s.min() >= 0.3
    assert speech_s.max() <= 4.8 + WINDOW_S
    assert np.median(speech_s) == pytest.approx(math.sqrt(0.3 * 4.8), rel=0.15)


def test_noise_stands_at_its_ratio() -> None:
    clip = syllables(12, 8)
    noisy = in_noise(10.0, 10.0)(clip, DETECTOR, np.random.default_rng(0))
    assert noisy is not None
    added = noisy - clip
    assert 10 * math.log10((clip**2).mean() / (added**2).mean()) == pytest.approx(10.0, abs=0.01)


def test_conditions_follow_one_another_until_one_cannot_be_met() -> None:
    clip = syllables(12, 8)
    short = one_after_another(cut_to(0.5), in_noise(5.0, 5.0))(clip, DETECTOR, np.random.default_rng(0))
    assert short is not None
    assert len(short) < len(clip)
    assert one_after_another(cut_to(99.0), in_noise(5.0, 5.0))(clip, DETECTOR, np.random.default_rng(0)) is None


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_named_condition_leaves_a_clip_finite_and_repeats_itself(name: str) -> None:
    clip = syllables(24, 16)
    first, again = (CONDITIONS[name](clip, DETECTOR, np.random.default_rng(3)) for _ in range(2))
    assert first is not None
    assert again is not None
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)


def test_a_random_codec_is_the_generators_choice() -> None:
    clip = syllables(6, 8)
    heard = [through_any(clip, DETECTOR, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(heard[0], heard[1])
    assert not np.array_equal(heard[0], heard[2])


@pytest.fixture(scope="module")
def encoder() -> WaveformEncoder:
    torch.manual_seed(1)
    return WaveformEncoder(CONFIG).eval()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    written = []
    for speaker, duration_s in ((1, 3.0), (2, 0.7), (3, 2.0)):
        written.append(folder / f"{speaker}.wav")
        soundfile.write(written[-1], voice(speaker, 0, duration_s), SAMPLE_RATE_HZ, subtype="PCM_16")
    return written


def same(a: HeardClips, b: HeardClips) -> bool:
    return all(
        np.array_equal(x, y, equal_nan=True)
        for x, y in ((a.clips, b.clips), (a.embeddings, b.embeddings), (a.speech_s, b.speech_s), (a.snr_db, b.snr_db))
    )


def test_a_clip_is_heard_alike_whatever_is_heard_beside_it(encoder: WaveformEncoder, paths: list[Path]) -> None:
    noisy = {"noisy": in_noise(0.0, 20.0)}
    alone = hear_files(encoder, paths[:1], noisy, "alone")["noisy"]
    beside = hear_files(encoder, list(reversed(paths)), {"full": full, **noisy}, "beside")["noisy"]
    assert beside.clips.tolist() == [0, 1, 2]
    assert np.array_equal(beside.embeddings[2], alone.embeddings[0])
    other_seed = hear_files(encoder, paths[:1], noisy, "alone", seed=2)["noisy"]
    assert not np.array_equal(other_seed.embeddings, alone.embeddings)


def test_clips_that_cannot_meet_a_condition_are_left_out(encoder: WaveformEncoder, paths: list[Path]) -> None:
    def only_long(samples: Samples, detector: object, rng: object) -> Samples | None:
        return samples if len(samples) > SAMPLE_RATE_HZ else None

    heard = hear_files(encoder, paths, {"full": full, "long": only_long, "never": lambda *_: None}, "some")
    assert heard["long"].clips.tolist() == [0, 2]
    assert np.array_equal(heard["long"].embeddings, heard["full"].embeddings[[0, 2]])
    assert len(heard["never"]) == 0
    assert same(heard["full"], hear_whole(encoder, paths, "whole"))


def test_embeddings_have_unit_length(encoder: WaveformEncoder, paths: list[Path]) -> None:
    embeddings = hear_whole(encoder, paths, "whole").embeddings
    assert embeddings.shape == (3, CONFIG.n_embedding)
    assert unit(embeddings) == pytest.approx(embeddings, abs=1e-6)


def test_a_clip_that_cannot_be_heard_is_named(encoder: WaveformEncoder, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(100, 0.1), SAMPLE_RATE_HZ)
    (tmp_path / "text.wav").write_text("no audio")
    for name, message in (("short.wav", "has 100 samples"), ("text.wav", "text.wav: ")):
        with pytest.raises(CorpusError, match=message):
            hear_whole(encoder, [tmp_path / name], "bad")
