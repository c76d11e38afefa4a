"""One clip, one reference, one LLR: the service's for a trial and the lab's for lists of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fake_audio
import shipped
from app.adapters.decoder_pool import DecoderPool
from app.adapters.embedders import open_embedder
from app.adapters.work_queue import ThreadWorkQueue
from app.records import DEFAULT_TENANT, Clip, NewEnrollment
from app.usecases.judging import Judge
from app.usecases.listening import Listener
from fake_store import FakeSpeakerStore
from model.bundle import load_bundle
from model.calibration import Calibration, Ranges, Term
from model.decision import QualityGate
from model.decoding import DecodingLimits
from model.likelihood import LikelihoodModel
from model.quality import SpeechAssessor
from model.scoring import Cohort
from model.speech import SpeechDetector
from samples import random_embeddings
from training.encoders import open_encoder
from training.heard import HeardClips, hear_whole
from training.scorers import CosineScorer

PATHS = sorted(shipped.CLIPS.glob("*.ogg"))
CALIBRATION = Calibration(
    slope=6.0,
    intercept=-2.0,
    fit_prior=0.5,
    terms=(
        Term("speech", 3.0, -1.0),
        Term("speech_both", 4.0, -3.0),
        Term("clips", 1.0, -0.5),
        Term("clarity_both", 2.0, -1.0),
    ),
    ranges=Ranges((0.4, 8.0), (1.0, 3.0), (0.0, 60.0)),
)


@pytest.fixture(scope="module")
def served() -> list[Clip]:
    """The example clips, as the service hears them."""
    n_threads = torch.get_num_threads()
    embedder = open_embedder("auto", load_bundle(shipped.BUNDLE), "cpu")
    decoder, work = DecoderPool(DecodingLimits(), 1), ThreadWorkQueue(1, 0)
    listener = Listener(decoder, SpeechAssessor(SpeechDetector()), embedder, work)
    clips = [listener.listen(path.read_bytes(), path.name) for path in PATHS]
    work.close()
    decoder.close()
    torch.set_num_threads(n_threads)
    return clips


@pytest.fixture(scope="module")
def heard() -> HeardClips:
    """The same, as the lab hears them."""
    return hear_whole(open_encoder(shipped.BUNDLE).module, PATHS, "examples")


def test_the_lab_hears_what_the_service_hears(served: list[Clip], heard: HeardClips) -> None:
    assert len(PATHS) == len(heard) >= 4
    for row, clip in enumerate(served):
        assert heard.embeddings[row] == pytest.approx(clip.embedding, abs=1e-5)
        assert heard.speech_s[row] == clip.quality.speech_s
        measured = np.nan if clip.quality.snr_db is None else clip.quality.snr_db
        assert heard.snr_db[row] == pytest.approx(measured, nan_ok=True)


@pytest.mark.parametrize("has_cohort", [False, True])
@pytest.mark.parametrize("n_clips", [1, 3])
def test_a_trial_has_one_llr(served: list[Clip], heard: HeardClips, n_clips: int, has_cohort: bool) -> None:
    n_embedding = heard.embeddings.shape[1]
    cohort = Cohort(random_embeddings(1, 60, n_embedding), 20) if has_cohort else None
    likelihood = LikelihoodModel(CALIBRATION, cohort)
    judge = Judge(likelihood, fake_audio.POINTS, "eer", 0.5, QualityGate(1.0, 3.0), 2.0)
    rows = np.arange(n_clips)
    probes = np.arange(n_clips, len(PATHS))
    scorer = CosineScorer(likelihood, "c", "nobody", {})
    cosines, llrs = scorer(heard, np.tile(rows, (len(probes), 1)), heard, probes)
    assert llrs is not None

    store = FakeSpeakerStore()
    store.create_speaker(DEFAULT_TENANT, "a", None, {}, None)
    enrolled = [NewEnrollment(served[i].embedding, served[i].quality, served[i].source) for i in rows]
    store.add_enrollments(DEFAULT_TENANT, "a", "encoder", enrolled)
    reference = store.find_reference(DEFAULT_TENANT, "a")
    for t, probe in enumerate(probes):
        evidence = judge.claim(reference, served[probe])
        answer = judge.verification(evidence, fake_audio.POINTS["eer"], [served[probe]])
        assert answer.score == pytest.approx(cosines[t], abs=1e-5)
        assert answer.llr == pytest.approx(llrs[t], abs=1e-3)
        assert answer.threshold_score is not None
        assert likelihood.llr(answer.threshold_score, evidence.a, evidence.b) == pytest.approx(0.0, abs=1e-6)
