"""Which strangers a calibration tells a voice from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import made_voices
from training.calibrate import calibrate
from training.corpora.utterance import Utterance
from training.dataset import PreparedUtterance
from training.populations import MIN_PAIRS, populations


def speakers(
    n: int, gender: str, age: float | None, corpus: str = "made", first: int = 0, n_clips: int = 2
) -> list[PreparedUtterance]:
    rows = made_voices.rows(first + n, n_clips, corpora=(corpus,))[first * n_clips :]
    return [replace(row, utterance=replace(row.utterance, gender=gender, age=age)) for row in rows]


def utterances(*groups: list[PreparedUtterance]) -> list[Utterance]:
    return [row.utterance for group in groups for row in group]


def test_speakers_meet_those_of_their_gender_and_age_group() -> None:
    clips = utterances(
        speakers(6, "f", 30.0),
        speakers(6, "m", 41.0, first=6),
        speakers(3, "f", 9.0, first=12),
        speakers(1, "", None, first=15),
    )
    found = populations(clips)
    for i, a in enumerate(clips):
        for j, b in enumerate(clips):
            is_child = [None if c.age is None else c.age < 16 for c in (a, b)]
            alike = a.gender == b.gender and is_child[0] == is_child[1]
            assert (found.numbers[i] == found.numbers[j]) == alike
    assert found.strangers == "strangers of the same gender and age group"
    assert set(found.corpora) == {"made"}


def test_a_speaker_whose_clips_disagree_meets_no_less_of_themselves() -> None:
    clips = utterances(speakers(9, "f", 30.0), speakers(9, "m", 30.0, first=9))
    clips[0] = replace(clips[0], gender="m")
    found = populations(clips)
    assert found.numbers[0] == found.numbers[1] == found.numbers[2], "the last clip of a speaker decides"


def test_everybody_meets_where_too_few_are_alike_or_nothing_is_known() -> None:
    few = utterances(speakers(5, "f", 30.0), speakers(5, "m", 30.0, first=5))
    assert MIN_PAIRS > 2 * 10
    unknown = utterances(speakers(20, "", None))
    for clips in (few, unknown):
        found = populations(clips)
        assert len(set(found.numbers)) == 1
        assert found.strangers == "strangers of any gender and age"


def test_corpora_never_meet_and_each_is_judged_by_itself() -> None:
    clips = utterances(
        speakers(9, "f", None, "known"),
        speakers(9, "m", None, "known", first=9),
        speakers(9, "", None, "unknown", first=18),
    )
    found = populations(clips)
    of_corpus = {c: set(found.numbers[[u.corpus == c for u in clips]].tolist()) for c in ("known", "unknown")}
    assert {c: set(found.of_corpus(c).tolist()) for c in of_corpus} == of_corpus
    assert [len(numbers) for numbers in of_corpus.values()] == [2, 1]
    assert found.strangers == "strangers of the same gender and age group in known, of any elsewhere"


def test_a_stranger_who_is_alike_says_less_so_the_calibration_is_stricter() -> None:
    """Half of the voices lean one way and half the other, as a gender would: the same data, labelled and not."""
    rows = [*speakers(10, "f", 30.0, n_clips=5), *speakers(10, "m", 30.0, first=10, n_clips=5)]
    heard = made_voices.heard(rows)
    is_first = np.array([row.utterance.gender == "f" for row in rows])
    lean = np.ones(made_voices.N_EMBEDDING, dtype=np.float32) / np.sqrt(made_voices.N_EMBEDDING)
    for name, clips in heard.items():
        moved = clips.embeddings + np.where(is_first[clips.clips], 0.8, -0.8)[:, None].astype(np.float32) * lean
        heard[name] = replace(clips, embeddings=moved / np.linalg.norm(moved, axis=1, keepdims=True))
    unlabelled = [replace(row, utterance=replace(row.utterance, gender="", age=None)) for row in rows]
    alike, anybody = (calibrate(each, heard, None, encoder_id="e") for each in (rows, unlabelled))
    at = {name: found.likelihood.nominal_cosine_at(0.0) for name, found in (("alike", alike), ("anybody", anybody))}
    assert at["alike"] is not None
    assert at["anybody"] is not None
    assert at["alike"] > at["anybody"] + 0.02
    assert "strangers of the same gender and age group" in alike.operating_points["eer"].measured_on
    n_pairs = {found.operating_points["eer"].n_non_target for found in (alike, anybody)}
    assert n_pairs == {2 * 45 * 25, 190 * 25}
