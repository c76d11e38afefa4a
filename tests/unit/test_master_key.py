"""The master key: what it seals it alone opens, and a file of it is made whole or not at all."""

from __future__ import annotations

import base64
import logging
import stat
from pathlib import Path

import pytest

from app.adapters.master_key import MasterKey, make_master_key, parse_master_key, read_master_key
from app.errors import SettingsError, StoreError

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def test_what_is_sealed_opens_in_its_own_context_only() -> None:
    key = MasterKey([OLD])
    sealed = key.seal(b"secret", b"here")
    assert b"secret" not in sealed
    assert key.open(sealed, b"here") == b"secret"
    with pytest.raises(StoreError, match="damaged, or was sealed for something else"):
        key.open(sealed, b"there")


def test_the_same_text_is_never_sealed_the_same() -> None:
    key = MasterKey([OLD])
    assert key.seal(b"secret", b"") != key.seal(b"secret", b"")


@pytest.mark.parametrize("place", range(40))
def test_every_changed_byte_is_noticed(place: int) -> None:
    key = MasterKey([OLD])
    sealed = bytearray(key.seal(b"secret!", b""))
    assert len(sealed) == 40
    sealed[place] ^= 1
    with pytest.raises(StoreError):
        key.open(bytes(sealed), b"")


@pytest.mark.parametrize("n_bytes", [0, 1, 5, 16, 32])
def test_what_is_cut_off_is_noticed(n_bytes: int) -> None:
    key = MasterKey([OLD])
    with pytest.raises(StoreError):
        key.open(key.seal(b"secret", b"")[:n_bytes], b"")


def test_a_new_key_takes_over_while_the_old_one_still_opens() -> None:
    sealed = MasterKey([OLD]).seal(b"secret", b"")
    both = MasterKey([NEW, OLD])
    assert both.open(sealed, b"") == b"secret"
    assert not both.is_current(sealed)
    anew = both.seal(b"secret", b"")
    assert both.is_current(anew)
    assert MasterKey([NEW]).open(anew, b"") == b"secret"
    with pytest.raises(StoreError, match="under another master key"):
        MasterKey([NEW]).open(sealed, b"")


@pytest.mark.parametrize("text", ["", "  \n", "short", base64.b64encode(bytes(31)).decode(), "!" * 44])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError, match="openssl rand -base64 32") as refused:
        parse_master_key(text, "VOUCH_MASTER_KEY")
    assert "VOUCH_MASTER_KEY" in str(refused.value)
    assert not text.strip() or text.strip() not in str(refused.value)


def test_a_made_key_is_its_owners_alone_and_is_never_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "master.key"
    make_master_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["master.key"]
    assert "keep a copy elsewhere" in caplog.text
    text = path.read_text()
    assert text.strip() not in caplog.text
    sealed = read_master_key(path).seal(b"secret", b"")
    with pytest.raises(SettingsError, match="cannot be written"):
        make_master_key(path)
    assert read_master_key(path).open(sealed, b"") == b"secret"


def test_what_a_crash_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "master.key.new").write_text("half a k")
    make_master_key(tmp_path / "master.key")
    read_master_key(tmp_path / "master.key")


def test_a_key_that_everybody_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "master.key"
    make_master_key(path)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        read_master_key(path)
    assert "everybody on this machine may read" in caplog.text


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.key cannot be read \(No such file"):
        read_master_key(tmp_path / "nothing.key")
