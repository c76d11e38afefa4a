"""Where identification searches: in memory, or in PostgreSQL. The one place that chooses."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.adapters.database import Database
from app.adapters.faiss_gallery import FaissGallery
from app.adapters.followers import NO_FOLLOWER, Follower
from app.adapters.gallery_choice import GalleryKind, choose_gallery
from app.adapters.pgvector_gallery import PgvectorGallery
from app.adapters.pgvector_references import PgvectorReferences, drop_references, make_references
from app.adapters.postgres import take_migration_lock
from app.adapters.reference_log import ReferenceLog
from app.adapters.sealing import Sealer
from app.errors import SettingsError
from app.ports import Gallery, ReferenceChanges
from app.settings import Settings

log = logging.getLogger("vouch")


@dataclass(frozen=True)
class OpenGallery:
    gallery: Gallery
    follower: Follower
    """What the store has to tell in its transactions."""
    changes: ReferenceChanges | None
    """What other replicas tell of theirs."""


def open_gallery(
    settings: Settings, database: Database, sealer: Sealer, encoder_id: str, n_embedding: int
) -> OpenGallery:
    """Raises SettingsError, StoreError."""
    if database.is_file:
        if settings.gallery == "pgvector":
            raise SettingsError(
                "VOUCH_GALLERY is 'pgvector', which is in PostgreSQL, and the database is SQLite. Set VOUCH_DATABASE_URL to "
                "postgresql+psycopg://user:password@host/database, or leave VOUCH_GALLERY alone."
            )
        return OpenGallery(_in_memory(settings, encoder_id, n_embedding), NO_FOLLOWER, None)
    kind: GalleryKind = "pgvector" if settings.gallery == "auto" else settings.gallery
    changes = ReferenceLog(database)
    with database.writing() as connection:
        take_migration_lock(connection)
        choose_gallery(connection, kind)
        if kind == "pgvector":
            make_references(connection)
        else:
            drop_references(connection)
            changes.begin(connection)
    if kind == "faiss":
        return OpenGallery(_in_memory(settings, encoder_id, n_embedding), changes, changes)
    log.warning(
        "identification searches in PostgreSQL, where the speakers' references lie unsealed beside their sealed "
        "enrollments. Keep its disk encrypted; or set VOUCH_GALLERY=faiss, which keeps all of them sealed and searches in the "
        "memory of each replica."
    )
    gallery = PgvectorGallery(database, encoder_id, n_embedding, settings.enroll_min_speech_s)
    return OpenGallery(gallery, PgvectorReferences(sealer), None)


def _in_memory(settings: Settings, encoder_id: str, n_embedding: int) -> FaissGallery:
    return FaissGallery(encoder_id, n_embedding, settings.gallery_exact_up_to)
