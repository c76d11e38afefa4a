"""Which trials a calibration is fitted on, and the cohort that it may use."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import made_voices
from model.calibration import SideInformation
from model.quality import mean_snr_db
from model.scoring import reference
from samples import random_embeddings
from training.calibration_trials import (
    CONDITIONS,
    N_REFERENCE_CLIPS,
    TrialSet,
    calibration_trials,
    every_pair,
)
from training.cohorts import MIN_VOICES, N_CLIPS, N_TOP, Voices, draw_clips
from training.corpora.utterance import Utterance
from training.dataset import PreparedUtterance
from training.heard import HeardClips, joined_clips

ROWS = made_voices.rows(8, 5, corpora=("one", "other"))
SPEAKERS = made_voices.speaker_numbers(ROWS)
CORPORA = SPEAKERS % 2
HEARD = made_voices.heard(ROWS)


@pytest.fixture(scope="module")
def sets() -> list[TrialSet]:
    return calibration_trials(HEARD, SPEAKERS, CORPORA)


def test_every_pair_of_conditions_is_tried_with_one_clip_and_with_a_reference(sets: list[TrialSet]) -> None:
    n = len(CONDITIONS)
    assert len({each.name for each in sets}) == len(sets) == n * (n + 1) // 2 + n * n
    assert {float(np.max(each.a.information.n_clips)) for each in sets} == {1.0, float(N_REFERENCE_CLIPS)}


def test_no_recording_stands_on_both_sides_and_no_two_populations_meet(sets: list[TrialSet]) -> None:
    for each in sets:
        a, b = each.a.clips[each.a_index], each.b.clips[each.b_index, 0]
        assert not (a == b[:, None]).any()
        assert np.array_equal(each.a.populations[each.a_index], each.b.populations[each.b_index])
        same = each.a.speakers[each.a_index] == each.b.speakers[each.b_index]
        assert np.array_equal(same, each.labels)
        assert 0 < each.labels.sum() < len(each.labels)
        pairs = Counter(zip(each.a_index.tolist(), each.b_index.tolist(), strict=True))
        assert max(pairs.values()) == 1


def test_a_reference_is_made_as_the_service_makes_it(sets: list[TrialSet]) -> None:
    several = next(each.a for each in sets if each.name == "3 whole / whole")
    whole = HEARD["whole 0"]
    for row in range(0, len(several.speakers), 17):
        own = several.clips[row]
        assert len(set(own.tolist())) == N_REFERENCE_CLIPS
        assert set(SPEAKERS[own].tolist()) == {int(several.speakers[row])}
        assert several.embeddings[row] == pytest.approx(reference(whole.embeddings[own]), abs=1e-6)
        assert np.asarray(several.information.speech_s)[row] == pytest.approx(whole.speech_s[own].sum())
        assert np.asarray(several.information.snr_db)[row] == pytest.approx(mean_snr_db(whole.snr_db[own].tolist()))


def test_noise_is_averaged_over_the_clips_that_have_some() -> None:
    clips = SideInformation(np.ones(4), np.ones(4), np.array([10.0, np.nan, 20.0, np.nan]))
    _, found = joined_clips(random_embeddings(1, 4), clips, np.array([[0, 1, 2], [1, 3, 1]]))
    assert np.asarray(found.snr_db)[0] == 15.0
    assert np.isnan(np.asarray(found.snr_db)[1])


def test_speakers_with_too_few_clips_for_a_reference_and_a_probe_have_none() -> None:
    rows = made_voices.rows(4, N_REFERENCE_CLIPS)
    speakers = made_voices.speaker_numbers(rows)
    sets = calibration_trials(made_voices.heard(rows), speakers, np.zeros_like(speakers))
    assert all(float(np.max(each.a.information.n_clips)) == 1.0 for each in sets)


def test_a_condition_that_no_clip_can_meet_is_left_out() -> None:
    nothing = HeardClips(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0), np.zeros(0))
    mute = {name: nothing if name.startswith("cut") else clips for name, clips in HEARD.items()}
    sets = calibration_trials(mute, SPEAKERS, CORPORA)
    n = len(CONDITIONS) - 1
    assert len(sets) == n * (n + 1) // 2 + n * n
    assert not [each.name for each in sets if "cut" in each.name]


def test_the_same_clips_give_the_same_trials(sets: list[TrialSet]) -> None:
    again = calibration_trials(HEARD, SPEAKERS, CORPORA)
    for one, other in zip(sets, again, strict=True):
        assert np.array_equal(one.a_index, other.a_index)
        assert np.array_equal(one.cosines(), other.cosines())


def test_every_pair_of_whole_clips_of_a_corpus_is_there_once() -> None:
    pairs = every_pair(HEARD, SPEAKERS, CORPORA)
    n = 4 * 5  # four speakers of each corpus with five clips
    assert len(pairs.labels) == 2 * n * (n - 1) // 2
    assert pairs.labels.sum() == 8 * 5 * 4 // 2
    row = pairs.a.information[pairs.a_index[:3]]
    assert isinstance(row, SideInformation)
    assert np.array_equal(np.asarray(row.speech_s), HEARD["whole 0"].speech_s[pairs.a_index[:3]])


def test_trials_among_others_keep_their_order(sets: list[TrialSet]) -> None:
    chosen = np.arange(len(sets[0].labels)) % 3 == 0
    assert np.array_equal(sets[0].among(chosen).cosines(), sets[0].cosines()[chosen])


def utterances(n_speakers: int, n_clips: int) -> list[PreparedUtterance]:
    return [
        replace(row, utterance=replace(row.utterance, split="train")) for row in made_voices.rows(n_speakers, n_clips)
    ]


def test_a_cohort_hears_a_few_clips_of_each_speaker_wherever_they_stand() -> None:
    rows = utterances(6, 9)
    drawn = draw_clips(rows)
    assert Counter(row.utterance.speaker for row in drawn) == {f"s{i:03d}": N_CLIPS for i in range(6)}
    assert len({row.utterance.path for row in drawn}) == len(drawn)
    assert drawn == draw_clips(rows)
    lone = [PreparedUtterance(Utterance(Path("x.wav"), "made", "x", "1", "", "train"), 3.0)]
    assert draw_clips(lone) == lone


def test_a_cohort_can_do_without_a_corpus() -> None:
    embeddings = made_voices.embed_clips(np.arange(80), np.full(80, 3.0), 0.1, seed=1)
    voices = Voices(embeddings, np.array(["one"] * MIN_VOICES + ["other"] * (80 - MIN_VOICES)))
    everybody, without_other = voices.cohort(), voices.cohort(without_corpus="other")
    assert everybody is not None
    assert without_other is not None
    assert (len(everybody.embeddings), everybody.n_top) == (80, min(N_TOP, 80))
    assert np.array_equal(without_other.embeddings, everybody.embeddings[:MIN_VOICES])
    assert np.abs(everybody.embeddings - embeddings).max() <= 1e-3
    assert voices.cohort(without_corpus="one") is None, "too few are left"
