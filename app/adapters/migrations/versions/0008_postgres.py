"""What PostgreSQL holds beyond SQLite, and numbers of 8 bytes there. Nothing changes on SQLite."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NUMBERS = {
    "speakers": ["seq"],
    "enrollments": ["seq"],
    "idempotency": ["speaker_seq"],
    "fingerprints": ["seq", "speaker_seq", "enrollment_seq"],
    "api_keys": ["seq"],
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _NUMBERS.items():
        for column in columns:
            op.alter_column(table, column, type_=sa.BigInteger())
            if column == "seq":
                op.execute(sa.text(f"ALTER SEQUENCE {table}_seq_seq AS bigint"))
    op.create_table(
        "deployment",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_deployment"),
    )
    op.create_table(
        "reference_changes",
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=True),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("speaker_seq", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_reference_changes"),
    )
    op.create_index("ix_reference_changes_transaction", "reference_changes", ["transaction"])
    op.create_index("ix_reference_changes_changed_at", "reference_changes", ["changed_at"])
    op.create_table(
        "audit_entries",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "place", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_written_at", "audit_entries", ["written_at"])
