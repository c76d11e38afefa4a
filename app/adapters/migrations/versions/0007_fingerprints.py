"""The fingerprints of recordings, by which one that is sent again is known."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fingerprints",
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("speaker_seq", sa.Integer(), nullable=False),
        sa.Column("enrollment_seq", sa.Integer()),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_fingerprints"),
        sa.ForeignKeyConstraint(["speaker_seq"], ["speakers.seq"], name="fk_fingerprints_speakers", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["enrollment_seq"], ["enrollments.seq"], name="fk_fingerprints_enrollments", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_fingerprints_speaker_seq_seq", "fingerprints", ["speaker_seq", "seq"])
    op.create_index("ix_fingerprints_enrollment_seq", "fingerprints", ["enrollment_seq"])
