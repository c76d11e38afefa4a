"""The SQL schema: who is enrolled, with which clips, which requests were answered, who may ask, the service's secrets.

`seq` orders rows by creation and is never used twice, so a page that ends after row n is right whatever was erased
meanwhile. A change here needs a migration in `migrations/versions/`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

from model.scoring import Embedding

# Written out, whatever the machine: a database file may move from one to another.
STORED_DTYPE = np.dtype("<f4")


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in and out; SQLite, which has no time zones, stores the UTC wall time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time needs a time zone; got {value!r}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy passes it
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Float32Vector(TypeDecorator[Embedding]):
    """A float32 array of shape (n,), stored as 4 * n little-endian bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Embedding | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - SQLAlchemy passes it
        return None if value is None else value.astype(STORED_DTYPE, copy=False).tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Embedding | None:  # noqa: ARG002 - SQLAlchemy passes it
        return None if value is None else np.frombuffer(value, dtype=STORED_DTYPE).astype(np.float32)


METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

speakers = Table(
    "speakers",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("speaker_id", String, nullable=False),
    Column("display_name", String),
    Column("metadata", JSON, nullable=False),
    Column("consent", JSON(none_as_null=True)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "speaker_id"),
    Index(None, "tenant", "seq"),
    sqlite_autoincrement=True,
)

enrollments = Table(
    "enrollments",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("enrollment_id", String, nullable=False),
    Column("speaker_id", String, nullable=False),
    Column("encoder_id", String, nullable=False),
    Column("embedding", Float32Vector, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("speech_s", Float, nullable=False),
    Column("snr_db", Float),
    Column("clipped_fraction", Float, nullable=False),
    Column("source_format", String, nullable=False),
    Column("source_sample_rate_hz", Integer, nullable=False),
    Column("source_channels", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "enrollment_id"),
    ForeignKeyConstraint(["tenant", "speaker_id"], ["speakers.tenant", "speakers.speaker_id"], ondelete="CASCADE"),
    Index(None, "tenant", "speaker_id", "seq"),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",
    METADATA,
    Column("tenant", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("speaker_id", String, nullable=False),
    # NULL where the key made a speaker; a list where it enrolled clips.
    Column("enrollment_ids", JSON(none_as_null=True)),
    Column("created_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["tenant", "speaker_id"], ["speakers.tenant", "speakers.speaker_id"], ondelete="CASCADE"),
    Index(None, "tenant", "speaker_id"),
)

secrets = Table(
    "secrets",
    METADATA,
    Column("name", String, primary_key=True),
    # By the master key, with the name as its context.
    Column("sealed", LargeBinary, nullable=False),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("key_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("scopes", JSON, nullable=False),
    # A keyed hash, under a secret that is sealed.
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    UniqueConstraint("key_id"),
    sqlite_autoincrement=True,
)
