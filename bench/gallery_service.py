"""The service's own use cases in bench/gallery.py, on a real store, with a listener that hears what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gallery_crowd import ENCODER_ID, MASTER, N_EMBEDDING

from app.adapters.audit_files import AuditFiles
from app.adapters.audit_lines import TrailKeys
from app.adapters.faiss_gallery import FaissGallery
from app.adapters.sql_store import SqlSpeakerStore, open_store
from app.records import Clip, utc_now
from app.usecases.auditing import Auditor
from app.usecases.consistency import ConsistencyRule
from app.usecases.enroll import Enroll
from app.usecases.gallery_sync import GallerySync
from app.usecases.identify import Identify
from app.usecases.judging import Judge
from app.usecases.replays import ReplayRule
from app.usecases.standing import StandingRule
from model.calibration import Calibration
from model.decision import OperatingPoint, QualityGate
from model.likelihood import LikelihoodModel
from model.quality import Quality
from model.scoring import Embedding
from model.waveform import SAMPLE_RATE_HZ, Source

RULE = StandingRule(ENCODER_ID, 5.0)
QUALITY = Quality(duration_s=8.0, speech_s=6.0, snr_db=25.0, clipped_fraction=0.0)
SOURCE = Source("wav", SAMPLE_RATE_HZ, 1)
POINT = OperatingPoint("eer", 0.0, 0.02, 0.02, (0.01, 0.03), (0.01, 0.03), 100, 100, "nothing")


@dataclass
class Told:
    """A listener that hears what it is told."""

    embedding: Embedding

    def listen(self, data: bytes, name: str) -> Clip:  # noqa: ARG002 - as a Listener does
        return Clip(QUALITY, SOURCE, self.embedding)

    def listen_to_all(self, uploads: Mapping[str, bytes]) -> dict[str, Clip]:
        return {name: self.listen(data, name) for name, data in uploads.items()}


@dataclass(frozen=True)
class Service:
    store: SqlSpeakerStore
    gallery: FaissGallery
    listener: Told
    identify: Identify
    enroll: Enroll

    def close(self) -> None:
        self.gallery.close()
        self.store.close()


def serve(path: Path, exact_up_to: int) -> Service:
    """The use cases on the store at this path, with the gallery filled and its index settled."""
    store = open_store(f"sqlite:///{path}", MASTER)
    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING, exact_up_to)
    sync = GallerySync(store, gallery, RULE)
    sync.rebuild()
    gallery.wait()
    likelihood = LikelihoodModel(Calibration(slope=20.0, intercept=-10.0, fit_prior=0.5), None)
    gate = QualityGate(1.0, 3.0)
    judge = Judge(likelihood, {POINT.name: POINT}, POINT.name, 0.5, gate, 2.0)
    told = Told(np.zeros(N_EMBEDDING, np.float32))
    listener: Any = told
    audit = Auditor(AuditFiles(path.with_name("audit"), TrailKeys.of(bytes(32)), 0, utc_now))
    replays = ReplayRule(store.fingerprints, "flag")
    identify = Identify(listener, judge, store, gallery, sync, RULE, replays, audit)
    enroll = Enroll(listener, gate, store, sync, RULE, ConsistencyRule(likelihood, -1e9), replays, audit)
    return Service(store, gallery, told, identify, enroll)
