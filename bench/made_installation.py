"""A large embedded installation, made up in seconds: sealed as the service seals, without the service's commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import numpy as np
from sqlalchemy import insert

from app.adapters.database import Database, open_database
from app.adapters.sealing import Sealer
from app.adapters.sql_secrets import open_master_key, open_secrets
from app.adapters.tables import enrollments, fingerprints, idempotency, speakers
from app.records import DEFAULT_TENANT
from app.settings import Settings
from model.scoring import unit

N_EMBEDDING = 448
N_WORDS = 40
"""Of a fingerprint: some four seconds."""
N_AT_ONCE = 10_000
SEED = 1
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)

Rows = list[dict[str, object]]


def make_installation(settings: Settings, n_speakers: int) -> None:
    """Speakers with one or two clips by turns, each clip with a fingerprint and each speaker with an answered request."""
    settings.data_dir.mkdir()
    master = open_master_key(settings, may_make=True)
    with closing(open_database(settings.store_url, master)) as database:
        open_secrets(database, master)
        for rows in _blocks(Sealer(master), n_speakers):
            _write(database, rows)


def _write(database: Database, rows: dict[str, Rows]) -> None:
    with database.writing() as connection:
        for table in (speakers, enrollments, fingerprints, idempotency):
            connection.execute(insert(table), rows[table.name])


def _blocks(sealer: Sealer, n_speakers: int) -> Iterator[dict[str, Rows]]:
    """By table."""
    rng, clip_number = np.random.default_rng(SEED), 0
    for start in range(1, n_speakers + 1, N_AT_ONCE):
        rows: dict[str, Rows] = {table.name: [] for table in (speakers, enrollments, fingerprints, idempotency)}
        for number in range(start, min(start + N_AT_ONCE, n_speakers + 1)):
            speaker_id, made_at = f"speaker-{number}", MADE_AT + timedelta(milliseconds=number)
            key = sealer.new_key(DEFAULT_TENANT, speaker_id)
            seal = sealer.of(DEFAULT_TENANT, speaker_id, key)
            rows["speakers"].append(
                {
                    "seq": number,
                    "tenant": DEFAULT_TENANT,
                    "speaker_id": speaker_id,
                    "display_name": None if number % 3 else f"Näme {number}",
                    "metadata": {"n": number},
                    "consent": None,
                    "data_key": key,
                    "created_at": made_at,
                    "updated_at": made_at,
                }
            )
            ids = []
            for embedding in unit(rng.standard_normal((1 + number % 2, N_EMBEDDING), dtype=np.float32)):
                clip_number += 1
                ids.append(blake2b(clip_number.to_bytes(8, "little"), digest_size=16).hexdigest())
                rows["enrollments"].append(
                    {
                        "seq": clip_number,
                        "tenant": DEFAULT_TENANT,
                        "enrollment_id": ids[-1],
                        "speaker_id": speaker_id,
                        "encoder_id": "bench",
                        "embedding": seal.seal(embedding, "bench"),
                        "duration_s": 8.0 + clip_number / 1e6,
                        "speech_s": 6.0,
                        "snr_db": None if number % 5 else 25.0,
                        "clipped_fraction": 0.0,
                        "source_format": "wav",
                        "source_sample_rate_hz": 16_000,
                        "source_channels": 1,
                        "created_at": made_at,
                    }
                )
                words = rng.integers(1, 2**32, N_WORDS, dtype=np.uint32)
                rows["fingerprints"].append(
                    {
                        "seq": clip_number,
                        "speaker_seq": number,
                        "enrollment_seq": clip_number,
                        "sealed": seal.seal_fingerprint(words),
                        "heard_at": made_at,
                    }
                )
            rows["idempotency"].append(
                {
                    "tenant": DEFAULT_TENANT,
                    "key": f"key-{number}",
                    "fingerprint": f"{number:064x}",
                    "speaker_seq": number,
                    "enrollment_ids": ids,
                    "created_at": made_at,
                }
            )
        yield rows
