"""An embedded installation with rows of every kind, as they come about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from app.adapters.sql_store import SqlSpeakerStore
from app.components import open_keys
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency, SpeakerChanges
from app.settings import Settings
from kept_stores import kept_store
from samples import ENCODER_ID, create, enroll, new_enrollment
from sqlite_files import sqlite


def fill(folder: Path) -> None:
    """Alice has all that one can have, bob nothing; carol and an enrollment of alice's were erased; the last number is carol's."""
    with kept_store(folder) as store:
        consent = {"purpose": "login", "expires_at": "9999-12-31T23:59:59.999999Z"}
        metadata = {"n": [1, 1.0, True, None, 1e-300, 2**60], "ü": {"b": "\u2028\U0001f600", "a": ""}}
        store.create_speaker(ME, "alice", "Älice \U0001f600", metadata, consent, Idempotency("made", "print"))
        store.create_speaker(ME, "bob", None, {}, None)
        create(store, "alice", tenant="neighbour")
        _enroll_alice(store)
        enroll(store, "alice", 3, tenant="neighbour")
        create(store, "carol")
        enroll(store, "carol", 4, 5)
        store.erase_speaker(ME, "carol")
        store.fingerprints.remember(1, np.arange(1, 30, dtype=np.uint32))
        store.fingerprints.close()
    with open_keys(Settings(data_dir=folder)) as keys:
        keys.create("näme", ME, {"verify", "enroll"})
        keys.revoke(keys.create("ended", "neighbour", {"admin"}).key.key_id)


def _enroll_alice(store: SqlSpeakerStore) -> None:
    clips = [replace(new_enrollment(seed), fingerprint=np.arange(seed, seed + 20, dtype=np.uint32)) for seed in (1, 2)]
    quiet = replace(clips[1], quality=replace(clips[1].quality, snr_db=None))
    store.add_enrollments(ME, "alice", ENCODER_ID, [clips[0], quiet], Idempotency("enrolled", "print"))
    taken_back = enroll(store, "alice", 6).enrollments[0].enrollment_id
    store.remove_enrollment(ME, "alice", taken_back)


def change(store: SqlSpeakerStore) -> None:
    """As callers do while a copy is made: everything that may happen to a row."""
    number = store.get_speaker(ME, "bob").number
    store.erase_speaker(ME, "bob")
    store.create_speaker(ME, "bob", "another one", {}, None)
    assert store.get_speaker(ME, "bob").number > number
    enroll(store, "bob", 7, 8)
    store.update_speaker(ME, "alice", SpeakerChanges(frozenset({"metadata"}), metadata={"n": [1.0, 1]}))
    first = store.list_enrollments(ME, "alice")[0]
    store.remove_enrollment(ME, "alice", first.enrollment_id)
    create(store, "dave")


def multiply(path: Path, n: int) -> None:
    """So many more speakers, each with a clip and, the last speaker first, a fingerprint. Their bytes are alice's: nobody could
    open them.
    """
    counted = f"WITH RECURSIVE counted(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < {n}) "
    sqlite(
        path,
        "BEGIN",
        f"{counted} INSERT INTO speakers (tenant, speaker_id, metadata, data_key, created_at, updated_at) "
        "SELECT 'many', 'speaker-' || i, '{}', data_key, created_at, updated_at FROM counted, speakers WHERE seq = 1",
        "INSERT INTO enrollments (tenant, enrollment_id, speaker_id, encoder_id, embedding, duration_s, speech_s, snr_db,"
        " clipped_fraction, source_format, source_sample_rate_hz, source_channels, created_at)"
        " SELECT 'many', s.speaker_id, s.speaker_id, encoder_id, embedding, duration_s, speech_s, snr_db, clipped_fraction,"
        " source_format, source_sample_rate_hz, source_channels, s.created_at FROM speakers s, enrollments e"
        " WHERE s.tenant = 'many' AND e.seq = 1",
        "INSERT INTO fingerprints (speaker_seq, sealed, heard_at) SELECT s.seq, f.sealed, f.heard_at"
        " FROM speakers s, fingerprints f WHERE s.tenant = 'many' AND f.seq = 1 ORDER BY s.seq DESC",
        "COMMIT",
    )
