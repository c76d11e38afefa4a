"""Speakers, their enrollments, and the requests already answered."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "speakers",
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("speaker_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String()),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("consent", sa.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_speakers"),
        sa.UniqueConstraint("tenant", "speaker_id", name="uq_speakers_tenant_speaker_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_speakers_tenant_seq", "speakers", ["tenant", "seq"])

    op.create_table(
        "enrollments",
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("enrollment_id", sa.String(), nullable=False),
        sa.Column("speaker_id", sa.String(), nullable=False),
        sa.Column("encoder_id", sa.String(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("duration_s", sa.Float(), nullable=False),
        sa.Column("speech_s", sa.Float(), nullable=False),
        sa.Column("snr_db", sa.Float()),
        sa.Column("clipped_fraction", sa.Float(), nullable=False),
        sa.Column("source_format", sa.String(), nullable=False),
        sa.Column("source_sample_rate_hz", sa.Integer(), nullable=False),
        sa.Column("source_channels", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_enrollments"),
        sa.UniqueConstraint("tenant", "enrollment_id", name="uq_enrollments_tenant_enrollment_id"),
        sa.ForeignKeyConstraint(
            ["tenant", "speaker_id"],
            ["speakers.tenant", "speakers.speaker_id"],
            name="fk_enrollments_speakers",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_enrollments_tenant_speaker_id_seq", "enrollments", ["tenant", "speaker_id", "seq"])

    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("speaker_id", sa.String(), nullable=False),
        sa.Column("enrollment_ids", sa.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_idempotency"),
        sa.ForeignKeyConstraint(
            ["tenant", "speaker_id"],
            ["speakers.tenant", "speakers.speaker_id"],
            name="fk_idempotency_speakers",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_idempotency_tenant_speaker_id", "idempotency", ["tenant", "speaker_id"])
