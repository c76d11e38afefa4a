"""A database of every release before this one opens with all that it held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.adapters.database import open_database
from app.adapters.erasures import open_erasures
from app.adapters.master_key import parse_master_key
from app.adapters.sealing import Sealer
from app.adapters.sql_secrets import open_secrets
from app.adapters.sql_store import SqlSpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from app.settings import Settings
from made_schemas import EMBEDDINGS, FINGERPRINTS, MARK, MASTER_KEY, SCHEMAS, SECRETS, load, revisions
from samples import create
from sqlite_files import sqlite

HAS_SECRETS, HAS_ERASURES, HAS_FINGERPRINTS = "0002", "0003", "0007"


def test_every_revision_has_a_database() -> None:
    """A new one gets its own by `PYTHONPATH=. python tests/made_schemas.py`."""
    assert sorted(path.stem for path in SCHEMAS.glob("*.sql")) == revisions()


@pytest.mark.parametrize("revision", revisions())
def test_what_an_earlier_release_stored_is_all_there(revision: str, tmp_path: Path) -> None:
    path = tmp_path / "vouch.db"
    load(revision, path)
    assert sqlite(path, "SELECT version_num FROM alembic_version") == [(revision,)]

    settings = Settings(data_dir=tmp_path, master_key=MASTER_KEY)
    master = parse_master_key(MASTER_KEY, "a test")
    database = open_database(settings.store_url, master)
    secrets = open_secrets(database, master)
    store = SqlSpeakerStore(database, Sealer(master), open_erasures(database, secrets, settings))
    alice = store.get_speaker(ME, "alice")
    assert (alice.number, alice.display_name, alice.metadata, alice.consent) == (
        2,
        "Älice",
        {"n": [1]},
        {"purpose": "login"},
    )
    assert alice.created_at.isoformat() == "2026-01-02T03:04:05.000006+00:00"
    assert [clip.enrollment_id for clip in store.list_enrollments(ME, "alice")] == ["e1", "e2"]
    replayed = store.replayed_enrollments(ME, "alice", Idempotency("key", "print"))
    assert replayed is not None
    assert [clip.enrollment_id for clip in replayed.enrollments] == ["e1", "e2"]
    assert store.get_speaker(ME, "bob").enrollment_count == 0
    neighbour = store.find_reference("neighbour", "alice")
    assert neighbour is not None
    np.testing.assert_allclose(neighbour.embedding, EMBEDDINGS[2] / np.linalg.norm(EMBEDDINGS[2]), rtol=1e-6)
    create(store, "new")
    assert store.get_speaker(ME, "new").number > 7
    if revision >= HAS_SECRETS:
        assert {name: getattr(secrets, name) for name in SECRETS} == SECRETS
    expected = FINGERPRINTS.tolist() if revision >= HAS_FINGERPRINTS else []
    assert [words.tolist() for words in store.fingerprints.of_speaker(alice.number)] == expected
    store.erase_speaker(ME, "alice")
    store.close()
    marks = {mark for (mark,) in sqlite(path, "SELECT mark FROM erasures")}
    assert len(marks) == (2 if revision >= HAS_ERASURES else 1)
    assert (MARK in marks) == (revision >= HAS_ERASURES)
    assert sqlite(path, "PRAGMA integrity_check") == [("ok",)]
