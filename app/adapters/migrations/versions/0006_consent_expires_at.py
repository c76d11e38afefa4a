"""When a speaker's consent ends, in a column of its own, so that whoever is past it is found without reading everybody."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.records import consent_end

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

N_AT_ONCE = 2048
"""Speakers."""


def upgrade() -> None:
    op.add_column("speakers", sa.Column("consent_expires_at", sa.DateTime(timezone=True)))
    op.create_index("ix_speakers_consent_expires_at", "speakers", ["consent_expires_at"])
    connection, after = op.get_bind(), 0
    speakers = sa.table("speakers", sa.column("seq"), sa.column("consent_expires_at", sa.DateTime(timezone=True)))
    while found := _next(connection, after):
        for number, consent in found:
            end = consent_end(json.loads(consent) if isinstance(consent, str) else consent)
            if end is not None:
                stored = end.replace(tzinfo=None) if connection.dialect.name == "sqlite" else end
                connection.execute(
                    sa.update(speakers).where(speakers.c.seq == number).values(consent_expires_at=stored)
                )
        after = found[-1][0]


def _next(connection: sa.Connection, after: int) -> Sequence[Any]:
    query = sa.text(
        "SELECT seq, consent FROM speakers WHERE seq > :after AND consent IS NOT NULL ORDER BY seq LIMIT :n"
    )
    return connection.execute(query, {"after": after, "n": N_AT_ONCE}).all()
