"""AS-norm and calibration together: worked by hand, turned round, and the same in the service as in the lab."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import NOMINAL, Calibration, SideInformation, Term
from model.likelihood import LikelihoodModel, Side, normalised
from model.scoring import Cohort, Embedding, cosine_score
from samples import random_embeddings

CALIBRATION = Calibration(3.0, -1.0, 0.5, (Term("speech", 2.0, -0.5), Term("clips", 1.0, 0.0)))
VOICES = random_embeddings(1, 40)
MODELS = (LikelihoodModel(CALIBRATION), LikelihoodModel(CALIBRATION, Cohort(VOICES, 10)))


def at(degrees: float) -> Embedding:
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)


def information(speech_s: float = 3.0, n_clips: int = 1, snr_db: float | None = 20.0) -> SideInformation:
    return SideInformation(speech_s, n_clips, snr_db)


def test_as_norm_by_hand() -> None:
    # The probe at 0 degrees hears the cohort at cosines 0.5, 0 and -1: the best two have mean 0.25 and spread 0.25.
    # The reference at 60 hears them at 1, 0.866 and -0.5: mean 0.933, spread 0.067.
    cohort = Cohort(np.stack([at(60), at(90), at(180)]), n_top=2)
    model = LikelihoodModel(CALIBRATION, cohort)
    probe, reference = (model.side(at(degrees), NOMINAL) for degrees in (0, 60))
    half = math.cos(math.radians(30))
    assert (probe.cohort_mean, probe.cohort_spread) == (pytest.approx(0.25), pytest.approx(0.25))
    assert reference.cohort_mean == pytest.approx((1 + half) / 2)
    assert reference.cohort_spread == pytest.approx((1 - half) / 2)
    expected = ((0.5 - 0.25) / 0.25 + (0.5 - (1 + half) / 2) / ((1 - half) / 2)) / 2
    assert float(normalised(0.5, probe, reference)) == pytest.approx(expected, rel=1e-6)
    assert model.llr(0.5, probe, reference) == pytest.approx(CALIBRATION.llr(expected, NOMINAL, NOMINAL), rel=1e-6)


def test_without_a_cohort_the_score_is_the_cosine() -> None:
    side = MODELS[0].side(VOICES[0], information())
    assert float(normalised(0.37, side, side)) == 0.37


def test_a_voice_that_everybody_sounds_like_needs_a_higher_score() -> None:
    crowd = Cohort(np.stack([at(angle) for angle in (-20, -5, 5, 20, 170, 180)]), n_top=4)
    model = LikelihoodModel(CALIBRATION, crowd)
    common, rare = model.side(at(0), NOMINAL), model.side(at(90), NOMINAL)
    common_at, rare_at = model.cosine_at(0.0, common, common), model.cosine_at(0.0, rare, rare)
    assert common_at is not None
    assert rare_at is not None
    assert common_at > rare_at


@pytest.mark.parametrize("model", MODELS)
@given(st.integers(0, 10**6), st.floats(0.2, 20.0), st.integers(1, 6))
def test_the_sides_may_change_places(model: LikelihoodModel, seed: int, speech_s: float, n_clips: int) -> None:
    one, other = random_embeddings(seed, 2)
    a, b = model.side(one, information(speech_s, n_clips)), model.side(other, information(5.0, 2, None))
    cosine = cosine_score(one, other)
    assert model.llr(cosine, a, b) == pytest.approx(model.llr(cosine, b, a))


@pytest.mark.parametrize("model", MODELS)
@given(st.integers(0, 10**6), st.floats(-12.0, 12.0))
def test_the_cosine_of_an_llr_has_that_llr(model: LikelihoodModel, seed: int, llr: float) -> None:
    one, other = random_embeddings(seed, 2)
    a, b = model.side(one, information()), model.side(other, information(8.0, 3))
    cosine = model.cosine_at(llr, a, b)
    lowest, highest = model.llr(-1.0, a, b), model.llr(1.0, a, b)
    if cosine is None:
        assert not lowest <= llr <= highest
    else:
        assert model.llr(cosine, a, b) == pytest.approx(llr, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_a_list_of_trials_is_each_of_them(model: LikelihoodModel) -> None:
    """What the lab computes over arrays is what the service computes for one trial."""
    rng = np.random.default_rng(2)
    clips = random_embeddings(5, 12)
    speech_s, n_clips = rng.uniform(0.3, 20.0, 12), rng.integers(1, 5, 12).astype(float)
    snr_db = np.where(np.arange(12) % 3 == 0, np.nan, rng.uniform(0.0, 30.0, 12))
    together = model.side(clips, SideInformation(speech_s, n_clips, snr_db))
    a, b = rng.integers(0, 12, 50), rng.integers(0, 12, 50)
    cosines = np.array([cosine_score(clips[i], clips[j]) for i, j in zip(a, b, strict=True)])
    found = model.llr(cosines, together[a], together[b])

    def alone(i: int) -> Side:
        measured = None if math.isnan(snr_db[i]) else float(snr_db[i])
        return model.side(clips[i], SideInformation(float(speech_s[i]), int(n_clips[i]), measured))

    for t, llr in enumerate(found):
        assert model.llr(float(cosines[t]), alone(a[t]), alone(b[t])) == pytest.approx(llr, abs=1e-9)


def test_a_nominal_trial_has_a_score_where_no_cohort_asks_who_speaks() -> None:
    plain, with_cohort = MODELS
    cosine = plain.nominal_cosine_at(0.5)
    assert cosine is not None
    assert CALIBRATION.llr(cosine, NOMINAL, NOMINAL) == pytest.approx(0.5)
    assert plain.nominal_cosine_at(50.0) is None
    assert with_cohort.nominal_cosine_at(0.5) is None


@pytest.mark.parametrize(("llr", "cosine"), [(1.0, 1.0), (-1.0, -1.0), (1.001, None), (-1.001, None)])
def test_a_cosine_lies_between_minus_one_and_one(llr: float, cosine: float | None) -> None:
    assert LikelihoodModel(Calibration(1.0, 0.0, 0.5)).nominal_cosine_at(llr) == cosine


@pytest.mark.parametrize("n_top", [0, 1, 41])
def test_a_cohort_is_never_smaller_than_what_is_asked_of_it(n_top: int) -> None:
    with pytest.raises(ValueError, match="between 2 and the 40 voices"):
        Cohort(VOICES, n_top)


def test_a_cohort_of_one_voice_many_times_divides_by_nothing() -> None:
    model = LikelihoodModel(CALIBRATION, Cohort(np.repeat(VOICES[:1], 5, axis=0), 5))
    side = model.side(VOICES[1], NOMINAL)
    assert math.isfinite(model.llr(0.2, side, side))


def test_a_cohort_is_its_voices_as_they_are_kept_and_how_many_of_them_count() -> None:
    cohort = Cohort(VOICES, 10)
    kept = np.frombuffer(cohort.to_bytes(), dtype="<f2").reshape(VOICES.shape)
    assert kept == pytest.approx(VOICES, abs=1e-3)
    same = Cohort(kept.astype(np.float32), 10)
    assert same == cohort
    assert hash(same) == hash(cohort)
    for other in (Cohort(VOICES, 11), Cohort(VOICES[::-1], 10)):
        assert other != cohort
        assert hash(other) != hash(cohort)
    assert cohort != cohort.to_bytes()


def test_one_trial_s_ratio_is_a_plain_number() -> None:
    side = MODELS[0].side(VOICES[0], information())
    assert type(MODELS[0].llr(0.5, side, side)) is float
    assert isinstance(MODELS[0].llr(np.array([0.5]), side, side), np.ndarray)
