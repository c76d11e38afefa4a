"""Replicas of the service as far as they keep anybody: each with connections and a gallery of its own, on one PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.adapters.database import Database, open_database
from app.adapters.galleries import open_gallery
from app.adapters.sealing import Sealer
from app.adapters.sql_store import SqlSpeakerStore
from app.ports import Gallery, ReferenceChanges
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings
from app.usecases.gallery_sync import GallerySync
from app.usecases.standing import StandingRule
from model.scoring import Embedding
from samples import ENCODER_ID, MASTER, N_EMBEDDING


@dataclass(frozen=True)
class Replica:
    database: Database
    store: SqlSpeakerStore
    gallery: Gallery
    changes: ReferenceChanges | None
    sync: GallerySync

    def found(self, embedding: Embedding, tenant: str = ME) -> dict[str, float]:
        """As an identification asks: whom, and with which score."""
        self.sync.catch_up()
        proposed = {one.number: one.score for one in self.gallery.search(tenant, embedding, 10)}
        return {one.speaker_id: proposed[one.number] for one in self.store.find_references(tenant, proposed)}


@contextmanager
def replica(url: str, gallery: str, encoder_id: str = ENCODER_ID, min_speech_s: float = 4.0) -> Iterator[Replica]:
    """Started: its gallery is filled."""
    settings = Settings.model_validate(
        {"database_url": url, "gallery": gallery, "enroll_min_speech_s": min_speech_s, "min_speech_s": 1.0}
    )
    sealer = Sealer(MASTER)
    database = open_database(url, MASTER)
    try:
        opened = open_gallery(settings, database, sealer, encoder_id, N_EMBEDDING)
        store = SqlSpeakerStore(database, sealer, follower=opened.follower)
        sync = GallerySync(store, opened.gallery, StandingRule(encoder_id, min_speech_s), opened.changes)
        sync.start()
        yield Replica(database, store, opened.gallery, opened.changes, sync)
        store.fingerprints.close()
        opened.gallery.close()
    finally:
        database.close()
