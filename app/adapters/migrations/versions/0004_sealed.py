"""Embeddings sealed under a key of each speaker's own; answers that are remembered name a number, and no speaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from app.adapters.sealing import Sealer

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

N_AT_ONCE = 2048
"""Speakers."""


def upgrade() -> None:
    # Not by rebuilding the table, which would forget the highest number ever given, and give an erased speaker's again.
    op.add_column("speakers", sa.Column("data_key", sa.LargeBinary(), nullable=False, server_default=""))
    _seal(Sealer(context.config.attributes["master"]))
    _name_numbers()


def _seal(sealer: Sealer) -> None:
    connection, after = op.get_bind(), 0
    speakers, enrollments = _tables(connection)
    while found := _next(connection, speakers, after):
        for number, tenant, speaker_id in found:
            key = sealer.new_key(tenant, speaker_id)
            seal = sealer.of(tenant, speaker_id, key)
            connection.execute(speakers.update().where(speakers.c.seq == number).values(data_key=key))
            own = (enrollments.c.tenant == tenant, enrollments.c.speaker_id == speaker_id)
            columns = (enrollments.c.seq, enrollments.c.encoder_id, enrollments.c.embedding)
            for seq, encoder_id, plain in connection.execute(sa.select(*columns).where(*own)).all():
                sealed = seal.seal_bytes(plain, encoder_id)
                connection.execute(enrollments.update().where(enrollments.c.seq == seq).values(embedding=sealed))
        after = found[-1][0]
    if after and connection.dialect.name == "sqlite":
        # The plain ones may lie in the gaps of pages: the file is rewritten once it is open.
        connection.exec_driver_sql("PRAGMA user_version=1")


def _next(connection: sa.Connection, speakers: sa.Table, after: int) -> Sequence[Any]:
    columns = (speakers.c.seq, speakers.c.tenant, speakers.c.speaker_id)
    query = sa.select(*columns).where(speakers.c.seq > after).order_by(speakers.c.seq).limit(N_AT_ONCE)
    return connection.execute(query).all()


def _tables(connection: sa.Connection) -> tuple[sa.Table, sa.Table]:
    metadata = sa.MetaData()
    return (
        sa.Table("speakers", metadata, autoload_with=connection, resolve_fks=False),
        sa.Table("enrollments", metadata, autoload_with=connection, resolve_fks=False),
    )


def _name_numbers() -> None:
    connection = op.get_bind()
    answered = connection.exec_driver_sql(
        "SELECT i.tenant, i.key, i.fingerprint, s.seq, i.enrollment_ids, i.created_at FROM idempotency i"
        " JOIN speakers s ON s.tenant = i.tenant AND s.speaker_id = i.speaker_id"
    ).all()
    op.drop_table("idempotency")
    table = op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("speaker_seq", sa.Integer(), nullable=False),
        sa.Column("enrollment_ids", sa.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_idempotency"),
        sa.ForeignKeyConstraint(["speaker_seq"], ["speakers.seq"], name="fk_idempotency_speakers", ondelete="CASCADE"),
    )
    op.create_index("ix_idempotency_speaker_seq", "idempotency", ["speaker_seq"])
    # As the driver gave them: times and JSON are written as they were read.
    raw = sa.table("idempotency", *(sa.column(column.name) for column in table.columns))
    names = [column.name for column in table.columns]
    if answered:
        connection.execute(raw.insert(), [dict(zip(names, row, strict=True)) for row in answered])
