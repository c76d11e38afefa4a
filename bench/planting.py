"""Rows of speakers in PostgreSQL, without which it keeps no reference of theirs: for tests and benchmarks of its gallery."""

from __future__ import annotations

from sqlalchemy import text

PLANT = text(
    "INSERT INTO speakers (seq, tenant, speaker_id, metadata, data_key, created_at, updated_at) "
    "SELECT number, tenant, 'speaker ' || number, '{}', '', now(), now() "
    "FROM unnest(CAST(:tenants AS text[]), CAST(:numbers AS bigint[])) AS one (tenant, number) ON CONFLICT DO NOTHING"
)
