"""The service's secrets: made once, the same at every start, and of no use without the master key."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from app.adapters.database import Database, is_sealed, open_database
from app.adapters.master_key import MasterKey, parse_master_key
from app.adapters.rotation import Rotated, rotate
from app.adapters.sql_secrets import (
    MASTER_KEY_FILE,
    Secrets,
    open_master_key,
    open_secrets,
    seal_keys_anew,
    seal_secrets_anew,
)
from app.adapters.sql_store import open_store
from app.errors import SettingsError, StoreError
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings
from samples import create, enroll, speaker_ids
from sqlite_files import sqlite

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def keys(*texts: str) -> MasterKey:
    return parse_master_key(" ".join(texts), "a test")


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(open_database(store_url, keys(OLD))) as opened:
        yield opened


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/vouch.db"


def test_secrets_are_random_and_stay(database: Database, store_url: str) -> None:
    assert not is_sealed(store_url)
    first = open_secrets(database, keys(OLD))
    assert open_secrets(database, keys(OLD)) == first
    assert len({first.api_keys, first.speaker_ids}) == 2
    assert {len(first.api_keys), len(first.speaker_ids)} == {32}
    assert is_sealed(store_url)


def test_no_secret_lies_in_the_file(tmp_path: Path) -> None:
    with closing(open_database(url(tmp_path), keys(OLD))) as database:
        found = open_secrets(database, keys(OLD))
    stored = (tmp_path / "vouch.db").read_bytes()
    assert b"api_keys" in stored
    assert found.api_keys not in stored
    assert found.speaker_ids not in stored


def test_another_master_key_is_refused(database: Database) -> None:
    open_secrets(database, keys(OLD))
    with pytest.raises(StoreError, match="sealed under another master key"):
        open_secrets(database, keys(NEW))


def test_the_master_key_changes_and_the_secrets_stay(database: Database) -> None:
    before: Secrets = open_secrets(database, keys(OLD))
    assert open_secrets(database, keys(NEW, OLD)) == before
    assert seal_secrets_anew(database, keys(NEW, OLD)) == 2
    assert seal_secrets_anew(database, keys(NEW, OLD)) == 0
    assert open_secrets(database, keys(NEW)) == before


def test_the_master_key_changes_and_the_voices_stay(store_url: str) -> None:
    store = open_store(store_url, keys(OLD))
    create(store, "alice", "bob")
    enroll(store, "alice", 1, 2)
    before = store.find_reference(ME, "alice")
    store.close()
    with closing(open_database(store_url, keys(NEW, OLD))) as database:
        assert seal_keys_anew(database, keys(NEW, OLD)) == 2
        assert seal_keys_anew(database, keys(NEW, OLD)) == 0
    store = open_store(store_url, keys(NEW))
    after = store.find_reference(ME, "alice")
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after.embedding, before.embedding)
    store.close()


# Whose embedding it is


@pytest.mark.parametrize(
    ("change", "owner"),
    [("speaker_id = 'bob'", "bob"), ("encoder_id = 'another'", "alice"), ("embedding = zeroblob(92)", "alice")],
)
def test_an_embedding_opens_for_its_own_speaker_and_encoder_only(tmp_path: Path, change: str, owner: str) -> None:
    store = open_store(url(tmp_path), keys(OLD))
    create(store, "alice", "bob")
    enroll(store, "alice", 1)
    sqlite(tmp_path / "vouch.db", f"UPDATE enrollments SET {change}")
    with pytest.raises(StoreError, match="is damaged, or was sealed for another speaker or encoder"):
        store.find_reference(ME, owner)
    assert speaker_ids(store, store.references()) == []
    store.close()


# Where the master key is


def test_a_master_key_is_made_once_in_the_default_place(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    sealed = open_master_key(settings, may_make=True).seal(b"secret", b"")
    assert (tmp_path / MASTER_KEY_FILE).is_file()
    assert open_master_key(settings, may_make=True).open(sealed, b"") == b"secret"


def test_a_lost_master_key_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is sealed, and its master key .*master\.key is not there"):
        open_master_key(Settings(data_dir=tmp_path), may_make=False)
    assert not (tmp_path / MASTER_KEY_FILE).exists()


def test_a_key_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, master_key_file=tmp_path / "mine.key")
    with pytest.raises(SettingsError, match=r"which is not there\. Make one with"):
        open_master_key(settings, may_make=True)
    (tmp_path / "mine.key").write_text(OLD)
    open_master_key(settings, may_make=True)


def test_a_key_in_the_environment_leaves_no_file(tmp_path: Path) -> None:
    open_master_key(Settings(data_dir=tmp_path, master_key=SecretStr(OLD)), may_make=True)
    assert list(tmp_path.iterdir()) == []


# How it changes


def test_rotation_makes_a_new_key_and_forgets_the_old_one(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    master = open_master_key(settings, may_make=True)
    store = open_store(settings.store_url, master)
    create(store, "alice", "bob")
    enroll(store, "alice", 1)
    store.close()
    with closing(open_database(settings.store_url, master)) as database:
        before = open_secrets(database, master)
    old, sealed = (tmp_path / MASTER_KEY_FILE).read_text(), sealed_keys(tmp_path)

    assert rotate(settings) == Rotated(n_secrets=2, n_speakers=2)
    new = (tmp_path / MASTER_KEY_FILE).read_text()
    assert len(new.split()) == 1
    assert new != old
    assert stat.S_IMODE((tmp_path / MASTER_KEY_FILE).stat().st_mode) == 0o600
    master = open_master_key(settings, may_make=False)
    with closing(open_database(settings.store_url, master)) as database:
        assert open_secrets(database, master) == before
    store = open_store(settings.store_url, master)
    assert store.find_reference(ME, "alice") is not None
    store.close()
    stored = (tmp_path / "vouch.db").read_bytes()
    assert not any(key in stored for key in sealed), "what the old key opens is in the file no more"


def test_rotation_that_was_cut_short_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path)
    store = open_store(settings.store_url, open_master_key(settings, may_make=True))
    create(store, "alice")
    enroll(store, "alice", 1)
    store.close()

    def die(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("app.adapters.rotation.seal_keys_anew", die)
        with pytest.raises(KeyboardInterrupt):
            rotate(settings)
    store = open_store(settings.store_url, open_master_key(settings, may_make=False))
    assert store.find_reference(ME, "alice") is not None
    store.close()
    rotate(settings)
    assert len((tmp_path / MASTER_KEY_FILE).read_text().split()) == 1
    store = open_store(settings.store_url, open_master_key(settings, may_make=False))
    assert store.find_reference(ME, "alice") is not None
    store.close()


def test_rotation_of_a_key_in_the_environment_changes_the_database_only(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/vouch.db", keys(OLD)).close()
    rotate(Settings(data_dir=tmp_path, master_key=SecretStr(f"{NEW} {OLD}")))
    assert not (tmp_path / MASTER_KEY_FILE).exists()


def sealed_keys(folder: Path) -> list[bytes]:
    return [key for (key,) in sqlite(folder / "vouch.db", "SELECT data_key FROM speakers")]
