"""A recording is known again whatever was done to it on the way, and no other recording is taken for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
import soxr

import signals
from model.decision import MIN_REPLAY_EVIDENCE, is_replay
from model.decoding import DecodingLimits, decode
from model.fingerprint import HOP_SAMPLES, KEPT_EVERY_HOPS, RATE_HZ, Fingerprint, fingerprint, kept
from model.fingerprint_matching import MAX_WORD_EVIDENCE, P_DIFFERS, P_DIFFERS_BY_CHANCE, replay_evidence
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform
from shipped import CLIPS
from training.augment.codecs import telephone

LIMITS = DecodingLimits(max_duration_s=60.0)
NAMES = ("speaker-a-1", "speaker-a-2", "speaker-a-3", "speaker-b-1")
HOPS_PER_S = RATE_HZ / HOP_SAMPLES


@cache
def clip(name: str) -> Samples:
    return decode((CLIPS / f"{name}.ogg").read_bytes(), LIMITS).samples


def words_of(samples: Samples) -> Fingerprint:
    return fingerprint(Waveform(np.ascontiguousarray(samples, dtype=np.float32), Source("wav", SAMPLE_RATE_HZ, 1)))


def evidence(probe: Samples, other: Samples) -> float:
    return float(replay_evidence(words_of(probe), [kept(words_of(other))])[0])


def through(encode: Callable[..., bytes], rate_hz: int) -> Callable[[Samples], Samples]:
    def way(samples: Samples) -> Samples:
        at_rate = np.clip(soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz), -1.0, 1.0)
        return decode(encode(at_rate[:, None].astype(np.float32), rate_hz), LIMITS).samples

    return way


def noise(n: int, seed: int) -> Samples:
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def piece(from_s: float, duration_s: float) -> Callable[[Samples], Samples]:
    return lambda samples: samples[round(from_s * SAMPLE_RATE_HZ) :][: round(duration_s * SAMPLE_RATE_HZ)]


def clipped(samples: Samples) -> Samples:
    limit = np.abs(samples).max() / 2
    return np.clip(samples, -limit, limit)


WAYS: Mapping[str, Callable[[Samples], Samples]] = {
    "as it is": lambda samples: samples,
    "MP3": through(signals.mp3, 16_000),
    "MP3 at 44.1 kHz": through(signals.mp3, 44_100),
    "Opus": through(signals.ogg_opus, 16_000),
    "M4A": through(signals.m4a, 44_100),
    "WAV at 8 kHz": through(signals.wav, 8_000),
    "telephone": telephone,
    "20 dB quieter": lambda samples: samples / 10,
    "clipped": clipped,
    "a little noise": lambda samples: samples + 0.1 * level(samples) * noise(len(samples), 1),
    "begun 71 ms later": lambda samples: samples[1137:],
    "its end cut off": piece(0.0, 3.0),
    "a piece of it": piece(1.313, 2.0),
    "a piece of it, by telephone": lambda samples: telephone(piece(0.777, 3.0)(samples)),
    "in silence": lambda samples: np.pad(samples, (7_777, 20_000)),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", WAYS)
def test_a_recording_is_known_again(way: str, name: str) -> None:
    original = clip(name)
    assert is_replay(evidence(WAYS[way](original), original))


@pytest.mark.parametrize("way", ["a piece of it", "in silence"])
def test_a_recording_is_known_by_a_part_of_it(way: str) -> None:
    """As when the part was heard first."""
    original = clip("speaker-a-2")
    assert is_replay(evidence(original, WAYS[way](original)))


ROOMS: Mapping[str, Callable[[int], Samples]] = {
    "a quiet room": lambda n: np.zeros(n, dtype=np.float32),
    "a room that hums": lambda n: sum(
        (0.02 / k * np.sin(2 * np.pi * 50 * k * np.arange(n) / SAMPLE_RATE_HZ) for k in range(1, 40)),
        start=np.zeros(n),
    ).astype(np.float32),
}


@pytest.mark.parametrize("room", ROOMS)
def test_other_recordings_are_left_alone_also_of_one_speaker_in_one_room(room: str) -> None:
    heard = [clip(name) + ROOMS[room](len(clip(name))) for name in NAMES]
    for a, b in itertools.permutations(heard, 2):
        assert evidence(a, b) < MIN_REPLAY_EVIDENCE


def test_a_beep_that_two_recordings_begin_with_makes_them_no_replay() -> None:
    beep = signals.tone(0.3, frequency_hz=1_000.0, amplitude=0.3)[:, 0]
    a, b = (np.concatenate([beep, clip(name)]) for name in NAMES[:2])
    assert evidence(a, b) < MIN_REPLAY_EVIDENCE


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(5 * SAMPLE_RATE_HZ, dtype=np.float32),
        signals.tone(5.0)[:, 0],
        signals.tone(5.0, frequency_hz=50.0)[:, 0] + signals.tone(5.0, frequency_hz=1_000.0, amplitude=0.1)[:, 0],
        signals.square(5.0)[:, 0],
    ],
    ids=["silence", "a tone", "a hum", "a buzz"],
)
def test_what_never_changes_says_nothing(samples: Samples) -> None:
    """But where it is switched on and off, in a few words."""
    assert np.count_nonzero(words_of(samples)) <= 30
    for name in NAMES:
        assert evidence(samples, clip(name)) < MIN_REPLAY_EVIDENCE / 2
    assert not is_replay(evidence(samples, samples[SAMPLE_RATE_HZ:-SAMPLE_RATE_HZ]))


def test_two_noises_are_two_recordings_and_one_is_one() -> None:
    a, b = (0.1 * noise(5 * SAMPLE_RATE_HZ, seed) for seed in (1, 2))
    assert evidence(a, b) < MIN_REPLAY_EVIDENCE / 2
    assert is_replay(evidence(a, a[1000:]))


def test_a_pause_says_nothing() -> None:
    speech = clip("speaker-a-1")[: 2 * SAMPLE_RATE_HZ]
    floor = 1e-3 * noise(6 * SAMPLE_RATE_HZ, 3) * level(speech)
    words = words_of(np.concatenate([speech, np.zeros(4 * SAMPLE_RATE_HZ, np.float32)]) + floor)
    assert np.count_nonzero(words) > 0
    assert not words[round(2.2 * HOPS_PER_S) :].any()


def test_what_is_kept_is_small_and_bounded() -> None:
    minute = np.tile(clip("speaker-a-2"), 8)[: 60 * SAMPLE_RATE_HZ]
    ten_s, all_of_it = (kept(words_of(minute[: n * SAMPLE_RATE_HZ])).nbytes for n in (10, 60))
    assert ten_s <= 10 * 50
    assert all_of_it == kept(words_of(minute[: 30 * SAMPLE_RATE_HZ])).nbytes <= 30 * 50


@pytest.mark.parametrize("n_samples", [0, 1, 2, 2047, 2048, 3000])
def test_a_clip_of_less_than_a_frame_and_a_lag_has_no_words(n_samples: int) -> None:
    assert len(words_of(clip("speaker-a-1")[:n_samples])) == 0


# What the evidence is, by hand


def numbers(n: int, seed: int) -> Fingerprint:
    return np.random.default_rng(seed).integers(1, 2**32, n, dtype=np.uint32)


def spread(words: Fingerprint, first: int = 0) -> Fingerprint:
    """A probe in which these words come at the pace of kept ones, from `first` on, and else nothing."""
    probe = np.zeros(first + KEPT_EVERY_HOPS * len(words), dtype=np.uint32)
    probe[first::KEPT_EVERY_HOPS] = words
    return probe


@pytest.mark.parametrize("first", [0, 1, 5, 6, 100])
def test_words_that_agree_say_the_most_that_a_word_can_wherever_they_begin(first: int) -> None:
    words = numbers(10, 1)
    assert replay_evidence(spread(words, first), [words])[0] == pytest.approx(10 * MAX_WORD_EVIDENCE)
    assert replay_evidence(spread(words[3:7], first), [words])[0] == pytest.approx(4 * MAX_WORD_EVIDENCE)
    assert replay_evidence(spread(words, first), [words[3:7]])[0] == pytest.approx(4 * MAX_WORD_EVIDENCE)


def test_a_word_with_eight_flipped_bits_says_what_its_likelihood_ratio_says() -> None:
    words = numbers(5, 1)
    flipped = words ^ np.uint32(0b11111111)
    ratio = (P_DIFFERS / P_DIFFERS_BY_CHANCE) ** 8 * ((1 - P_DIFFERS) / (1 - P_DIFFERS_BY_CHANCE)) ** 24
    assert 0 < np.log(ratio) < MAX_WORD_EVIDENCE
    assert replay_evidence(spread(flipped), [words])[0] == pytest.approx(5 * np.log(ratio), rel=1e-5)


def test_pauses_neither_agree_nor_differ() -> None:
    words = numbers(9, 1)
    with_pause = words.copy()
    with_pause[3:6] = 0
    assert replay_evidence(spread(words), [with_pause])[0] == pytest.approx(6 * MAX_WORD_EVIDENCE)
    assert replay_evidence(np.zeros(100, dtype=np.uint32), [np.zeros(10, dtype=np.uint32)])[0] == 0


def test_what_differs_for_long_parts_two_stretches() -> None:
    """The better one counts."""
    words = numbers(60, 1)
    other = words.copy()
    other[10:45] = ~other[10:45]
    assert replay_evidence(spread(words), [other])[0] == pytest.approx(15 * MAX_WORD_EVIDENCE)


def test_each_clip_has_its_own_evidence_and_none_has_none() -> None:
    words, others = numbers(20, 1), numbers(30, 2)
    probe = spread(words, 7)
    found = replay_evidence(probe, [others, words, words[:0], words[5:]])
    assert found.tolist() == pytest.approx([found[0], 20 * MAX_WORD_EVIDENCE, 0, 15 * MAX_WORD_EVIDENCE])
    assert found[0] < 2 * MAX_WORD_EVIDENCE
    assert replay_evidence(probe, []).shape == (0,)
    assert replay_evidence(probe[:0], [words]).tolist() == [0]
