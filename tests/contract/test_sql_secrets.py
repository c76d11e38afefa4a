"""The service's secrets: made once, the same at every start, and of no use without the master key."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.adapters.database import Database, open_database
from app.adapters.sql_secrets import MASTER_KEY_FILE, Secrets, open_secrets, seal_anew
from app.errors import SettingsError, StoreError
from app.settings import Settings

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{tmp_path}/vouch.db")) as opened:
        yield opened


def test_secrets_are_random_and_stay(database: Database, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = open_secrets(database, settings)
    assert open_secrets(database, settings) == first
    assert len({first.api_keys, first.speaker_ids}) == 2
    assert {len(first.api_keys), len(first.speaker_ids)} == {32}
    assert (tmp_path / MASTER_KEY_FILE).is_file()


def test_no_secret_lies_in_the_file(database: Database, tmp_path: Path) -> None:
    found = open_secrets(database, Settings(data_dir=tmp_path))
    stored = (tmp_path / "vouch.db").read_bytes()
    assert b"api_keys" in stored
    assert found.api_keys not in stored
    assert found.speaker_ids not in stored


def test_a_lost_master_key_is_not_made_anew(database: Database, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    open_secrets(database, settings)
    (tmp_path / MASTER_KEY_FILE).unlink()
    with pytest.raises(SettingsError, match=r"is sealed, and its master key .*master\.key is not there"):
        open_secrets(database, settings)
    assert not (tmp_path / MASTER_KEY_FILE).exists()


def test_another_master_key_is_refused(database: Database, tmp_path: Path) -> None:
    open_secrets(database, Settings(data_dir=tmp_path, master_key=OLD))
    with pytest.raises(StoreError, match="sealed under another master key"):
        open_secrets(database, Settings(data_dir=tmp_path, master_key=NEW))
    assert not (tmp_path / MASTER_KEY_FILE).exists()


def test_a_key_file_that_is_named_must_be_there(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"which is not there\. Make one with"):
        open_secrets(database, Settings(data_dir=tmp_path, master_key_file=tmp_path / "mine.key"))


def test_the_master_key_changes_and_the_secrets_stay(database: Database, tmp_path: Path) -> None:
    def under(master_key: str) -> Settings:
        return Settings(data_dir=tmp_path, master_key=master_key)

    before: Secrets = open_secrets(database, under(OLD))
    assert open_secrets(database, under(f"{NEW} {OLD}")) == before
    assert seal_anew(database, under(f"{NEW} {OLD}")) == 2
    assert seal_anew(database, under(f"{NEW} {OLD}")) == 0
    assert open_secrets(database, under(NEW)) == before
