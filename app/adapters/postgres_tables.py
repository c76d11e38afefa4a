"""What PostgreSQL holds beyond `tables.py`: what replicas tell each other, and what lies in files elsewhere.

A change here needs a migration in `migrations/versions/`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

from app.adapters.tables import METADATA, UtcDateTime

POSTGRES_METADATA = MetaData(naming_convention=METADATA.naming_convention)

deployment = Table(
    "deployment",
    POSTGRES_METADATA,
    # What all replicas have to agree on, such as `gallery`.
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

reference_changes = Table(
    "reference_changes",
    POSTGRES_METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=True),
    # pg_current_xact_id(): numbers are given before a commit, and commits come in another order.
    Column("transaction", BigInteger, nullable=False),
    Column("tenant", String, nullable=False),
    Column("speaker_seq", BigInteger, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Index(None, "transaction"),
    Index(None, "changed_at"),
)

audit_entries = Table(
    "audit_entries",
    POSTGRES_METADATA,
    # Each process writes a chain of its own, so that none waits for another.
    Column("chain", String, primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("written_at", UtcDateTime, nullable=False),
    # With its code, as a line of a file is.
    Column("line", Text, nullable=False),
    Index(None, "written_at"),
)
