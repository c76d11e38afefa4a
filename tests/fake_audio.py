"""Audio that is written down, not recorded: who speaks, for how long, how clearly. And the ports that hear it."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.access import KeyHasher
from app.adapters.work_queue import ThreadWorkQueue
from app.components import Components
from app.ports import AuditTrail, SpeakerStore, WorkQueue
from app.records import ModelFacts
from app.settings import Settings
from app.usecases.auditing import Auditor
from app.usecases.keys import ApiKeys
from fakes import FakeAuditTrail, FakeGallery
from model.calibration import Calibration, Term
from model.decision import OperatingPoint
from model.errors import AudioTooLong, CorruptAudio, UnsupportedAudio
from model.likelihood import LikelihoodModel
from model.quality import Quality
from model.scoring import Embedding, unit
from model.waveform import SAMPLE_RATE_HZ, Source, Waveform
from samples import ENCODER_ID
from service_stores import stores

MAGIC = b"WRITTEN-AUDIO "
N_EMBEDDING = 64
N_MIN_SAMPLES = 400
MAX_DURATION_S = 120.0


def clip(
    voice: str = "alice",
    take: int = 1,
    *,
    speech_s: float = 3.0,
    duration_s: float | None = None,
    snr_db: float | None = 25.0,
    is_constant: bool = False,
    sound: int | None = None,
) -> bytes:
    """An upload in which `voice` speaks; takes of one voice sound nearly alike (cosine over 0.9).

    `sound` is the seed of a noise, by which the recording is known again; without it there is nothing to know it by.
    """
    written = {
        "voice": voice,
        "take": take,
        "speech_s": speech_s,
        "duration_s": speech_s + 0.5 if duration_s is None else duration_s,
        "snr_db": snr_db,
        "is_constant": is_constant,
        "sound": sound,
    }
    return MAGIC + json.dumps(written).encode()


@dataclass(frozen=True, eq=False)
class WrittenWaveform(Waveform):
    written: dict[str, Any] = field(default_factory=dict)


class FakeDecoder:
    def __init__(self) -> None:
        self.n_decoded = 0
        self.n_deaths = 0

    def decode(self, data: bytes) -> Waveform:
        self.n_decoded += 1
        if not data.startswith(MAGIC):
            raise UnsupportedAudio("This is no written audio; only that is read.")
        try:
            written = json.loads(data.removeprefix(MAGIC))
        except ValueError as error:
            raise CorruptAudio("The file ends too early.") from error
        duration_s = written["duration_s"]
        if duration_s > MAX_DURATION_S:
            raise AudioTooLong(f"The clip lasts {duration_s} s; at most {MAX_DURATION_S:g} s are allowed.")
        samples = np.zeros(int(duration_s * SAMPLE_RATE_HZ), dtype=np.float32)
        if written["sound"] is not None:
            samples[:] = 0.1 * np.random.default_rng(written["sound"]).standard_normal(len(samples))
        elif not written["is_constant"]:
            samples[::2] = 0.1
        return WrittenWaveform(samples, Source("written", 48_000, 2), written)

    def close(self) -> None:
        pass


class FakeAssessor:
    def assess(self, waveform: Waveform) -> Quality:
        assert isinstance(waveform, WrittenWaveform)
        written = waveform.written
        return Quality(waveform.duration_s, written["speech_s"], written["snr_db"], 0.0)


class FakeEmbedder:
    """Maps a voice to a direction of its own, and a take to a little beside it."""

    n_embedding = N_EMBEDDING
    n_min_samples = N_MIN_SAMPLES

    def __init__(self, encoder_id: str = ENCODER_ID) -> None:
        self.encoder_id = encoder_id

    def embed(self, waveform: Waveform) -> Embedding:
        assert isinstance(waveform, WrittenWaveform)
        assert len(waveform.samples) >= self.n_min_samples
        voice, take = waveform.written["voice"], waveform.written["take"]
        return unit(_direction(voice) + np.float32(0.15) * _direction(f"{voice} {take}"))

    def close(self) -> None:
        pass


class BlockingEmbedder(FakeEmbedder):
    """Waits for `go_on`, so that a test decides when work ends."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = threading.Event()
        self.go_on = threading.Event()

    def embed(self, waveform: Waveform) -> Embedding:
        self.has_begun.set()
        if not self.go_on.wait(timeout=20):
            raise TimeoutError("no test told the encoder to go on")
        return super().embed(waveform)


def _direction(text: str) -> Embedding:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return unit(np.random.default_rng(seed).standard_normal(N_EMBEDDING).astype(np.float32))


def operating_point(name: str, llr: float) -> OperatingPoint:
    return OperatingPoint(
        name=name,
        llr=llr,
        fmr=0.02,
        fnmr=0.03,
        fmr_interval=(0.01, 0.03),
        fnmr_interval=(0.02, 0.04),
        n_target=100,
        n_non_target=1000,
        measured_on="written audio",
    )


CALIBRATION = Calibration(
    slope=9.0, intercept=-4.5, fit_prior=0.5, terms=(Term("speech", 4.0, -2.0), Term("clips", 2.0, -1.0))
)
"""A cosine of 0.5 favours nobody; the more speech and the more clips there are, the more any other says."""
LIKELIHOOD = LikelihoodModel(CALIBRATION)
CALIBRATION_ID = "calibration-a"
POINTS = {"eer": operating_point("eer", 0.0), "fmr_1e-2": operating_point("fmr_1e-2", 2.0)}
CALIBRATED = {
    "calibration_id": CALIBRATION_ID,
    "cllr_bits": 0.25,
    "cllr_bits_interval": [0.125, 0.5],
    "min_cllr_bits": 0.125,
    "min_cllr_bits_interval": [0.0625, 0.25],
    "fmr": {"eer": 0.04, "fmr_1e-2": 0.01},
    "fmr_interval": {"eer": [0.03, 0.05], "fmr_1e-2": [0.0, 0.02]},
    "fnmr": {"eer": 0.02, "fmr_1e-2": 0.05},
    "fnmr_interval": {"eer": [0.01, 0.03], "fmr_1e-2": [0.04, 0.06]},
}
COSTS = [
    {
        "p_target": p_target,
        "min_dcf": 0.2,
        "min_dcf_interval": [0.1, 0.3],
        "act_dcf": 0.4,
        "act_dcf_interval": [0.3, 0.5],
    }
    for p_target in (0.01, 0.05)
]
UNREACHABLE = operating_point("unreachable", 50.0)
"""No cosine meets it."""


def facts(encoder_id: str = ENCODER_ID) -> ModelFacts:
    return ModelFacts(
        bundle_id="written-bundle",
        sha256="ab" * 32,
        encoder_id=encoder_id,
        n_embedding=N_EMBEDDING,
        likelihood=LIKELIHOOD,
        calibration_id=CALIBRATION_ID,
        operating_points={**POINTS, UNREACHABLE.name: UNREACHABLE},
        card={
            "licence": "Apache-2.0",
            "limits": ["Hears written audio only."],
            "training": {"data": {"corpora": ["written"]}},
            "evaluations": [
                {
                    "trials": "written",
                    "score": "cosine",
                    "n_target": 10,
                    "n_non_target": 90,
                    "eer": 0.02,
                    "accuracy": 0.98,
                },
                {
                    "trials": "written-elsewhere",
                    "score": "cosine",
                    "n_target": 10,
                    "n_non_target": 90,
                    "eer": 0.03,
                    "detection_costs": COSTS,
                    "calibrated": CALIBRATED,
                },
            ],
        },
        device="cpu",
        engine="fake",
        prose="# Written audio\n",
    )


def components(
    *,
    store: SpeakerStore | None = None,
    gallery: FakeGallery | None = None,
    embedder: FakeEmbedder | None = None,
    decoder: FakeDecoder | None = None,
    work: WorkQueue | None = None,
    keys: ApiKeys | None = None,
    trail: AuditTrail | None = None,
) -> Components:
    """The service's parts, all of them fakes but for the queue, and for the stores where `--database` says so."""
    embedder = embedder or FakeEmbedder()
    return Components(
        decoder=decoder or FakeDecoder(),
        assessor=FakeAssessor(),
        embedder=embedder,
        store=store or stores().speakers(),
        gallery=gallery or FakeGallery(embedder.encoder_id, N_EMBEDDING),
        work=work or ThreadWorkQueue(2, 8),
        facts=facts(embedder.encoder_id),
        keys=keys or api_keys(),
        trail=trail or FakeAuditTrail(),
    )


def api_keys(trail: AuditTrail | None = None) -> ApiKeys:
    """None yet."""
    return ApiKeys(stores().keys(), KeyHasher(b"a secret of the tests"), Auditor(trail or FakeAuditTrail()))


def settings(**changes: Any) -> Settings:
    """The defaults, which no environment variable can change."""
    return Settings(**{"workers": 2, **changes})
