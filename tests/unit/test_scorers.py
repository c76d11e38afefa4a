from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import shipped
from model.bundle import load_bundle
from model.calibration import Calibration, Term
from model.likelihood import LikelihoodModel
from model.scoring import Cohort, unit
from training.encoders import open_encoder
from training.heard import HeardClips
from training.scorers import CosineScorer, scorer_of


def test_trials_that_share_references_and_probes_are_scored_like_trials_of_their_own() -> None:
    rng = np.random.default_rng(1)
    embeddings = unit(rng.normal(size=(6, 8)).astype(np.float32))
    snr_db = np.array([10.0, np.nan, 3.0, np.nan, np.nan, 20.0])
    clips = HeardClips(np.arange(6), embeddings, rng.uniform(0.5, 5.0, 6), snr_db)
    terms = (Term("speech", 3.0, -1.0), Term("clips", 2.0, -0.5), Term("clarity", 1.0, -0.2))
    calibration = Calibration(9.0, -3.0, 0.5, terms)
    cohort = Cohort(unit(rng.normal(size=(12, 8)).astype(np.float32)), 4)
    scorer = CosineScorer(LikelihoodModel(calibration, cohort), "c1", None, {})
    references = np.array([[0, 1, 2], [3, 4, 5], [0, 1, 2], [1, 3, 4], [0, 1, 2]])
    probes = np.array([3, 0, 3, 5, 4])
    cosines, llrs = scorer(clips, references, clips, probes)
    assert llrs is not None
    for i in range(5):
        alone = scorer(clips, references[i : i + 1], clips, probes[i : i + 1])
        assert alone[1] is not None
        assert (cosines[i], llrs[i]) == pytest.approx((alone[0][0], alone[1][0]), abs=1e-9)
    without = replace(scorer, likelihood=None)(clips, references, clips, probes)
    assert without[1] is None
    assert np.array_equal(without[0], cosines)


def test_a_bundle_brings_its_calibration_and_a_run_without_one_has_none(tmp_path: Path) -> None:
    opened = open_encoder(shipped.BUNDLE)
    bundle = load_bundle(shipped.BUNDLE)
    scorer = scorer_of(shipped.BUNDLE, opened, [])
    assert scorer.calibration_id == bundle.calibration_id
    assert scorer.operating_points == {name: point.llr for name, point in bundle.operating_points.items()}
    bare = scorer_of(tmp_path, opened, [])
    assert (bare.calibration_id, bare.operating_points) == (None, {})
