"""The SQL schema: who is enrolled, with which clips, which recordings were heard, which requests were answered, who may
ask, the service's secrets, and what was erased.

`seq` orders rows by creation and is never used twice, so a page that ends after row n is right whatever was erased
meanwhile. A change here needs a migration in `migrations/versions/`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
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

from app.errors import StoreError


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

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Raises StoreError for what is no time: the file is damaged there."""
        inner = super().result_processor(dialect, coltype)

        def process(value: Any) -> datetime | None:
            try:
                return inner(value) if inner else value
            except (ValueError, TypeError) as error:
                raise StoreError("The database is damaged: it holds a time that is none. Restore a backup.") from error

        return process


METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

# SQLite numbers rows by itself in a column of this very name only; its integers have 8 bytes anyway.
Number = BigInteger().with_variant(Integer, "sqlite")

speakers = Table(
    "speakers",
    METADATA,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("speaker_id", String, nullable=False),
    Column("display_name", String),
    Column("metadata", JSON, nullable=False),
    Column("consent", JSON(none_as_null=True)),
    # What `consent` says, for a query.
    Column("consent_expires_at", UtcDateTime),
    # By the master key (`sealing.py`).
    Column("data_key", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "speaker_id"),
    Index(None, "tenant", "seq"),
    Index(None, "consent_expires_at"),
    sqlite_autoincrement=True,
)

enrollments = Table(
    "enrollments",
    METADATA,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("enrollment_id", String, nullable=False),
    Column("speaker_id", String, nullable=False),
    Column("encoder_id", String, nullable=False),
    # By the speaker's key.
    Column("embedding", LargeBinary, nullable=False),
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
    # Not the speaker's id: what is left of an answer must not name anybody.
    Column("speaker_seq", Number, nullable=False),
    # NULL where the key made a speaker; a list where it enrolled clips.
    Column("enrollment_ids", JSON(none_as_null=True)),
    Column("created_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["speaker_seq"], ["speakers.seq"], ondelete="CASCADE"),
    Index(None, "speaker_seq"),
)

fingerprints = Table(
    "fingerprints",
    METADATA,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("speaker_seq", Number, nullable=False),
    # NULL for a clip that was verified or identified.
    Column("enrollment_seq", Number),
    # By the speaker's key.
    Column("sealed", LargeBinary, nullable=False),
    Column("heard_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["speaker_seq"], ["speakers.seq"], ondelete="CASCADE"),
    ForeignKeyConstraint(["enrollment_seq"], ["enrollments.seq"], ondelete="CASCADE"),
    Index(None, "speaker_seq", "seq"),
    Index(None, "enrollment_seq"),
    sqlite_autoincrement=True,
)

secrets = Table(
    "secrets",
    METADATA,
    Column("name", String, primary_key=True),
    # By the master key, with the name as its context.
    Column("sealed", LargeBinary, nullable=False),
)

erasures = Table(
    "erasures",
    METADATA,
    # A keyed hash of what was erased, in hex: see erasures.py.
    Column("mark", String, primary_key=True),
    Column("erased_at", UtcDateTime, nullable=False),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("seq", Number, primary_key=True, autoincrement=True),
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
