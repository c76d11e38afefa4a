"""The manifest's rows as they stand there, and a journal that no kill and no full disk spoils."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli_manifest import Journal, Row, idempotency_key, open_journal, read_manifest
from model.errors import ServiceError

FULL = Path("/dev/full")


def test_rows_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_bytes(
        '\ufeffpath, speaker_id,display_name\r\na.wav, alice ,"A, ""B"""\r\n\r\nb.wav,bob\r\n'.encode()
    )
    assert read_manifest(manifest) == [Row(2, "alice", "a.wav", 'A, "B"'), Row(4, "bob", "b.wav", None)]


def test_a_key_is_of_the_speaker_and_the_content() -> None:
    keys = {idempotency_key(speaker_id, audio) for speaker_id in ("a", "b") for audio in (b"1", b"2")}
    assert len(keys) == 4
    assert idempotency_key("a", b"1") in keys
    assert all(key.isascii() and len(key) <= 255 for key in keys)


def test_what_was_noted_is_known_to_the_next_run_at_that_place_only(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    with open_journal(manifest, "here") as journal:
        journal.add("one")
        assert (journal.has("one"), journal.has("two")) == (True, False)
    with open_journal(manifest, "here") as journal:
        assert (journal.has("one"), journal.has("two")) == (True, False)
    with open_journal(manifest, "there") as journal:
        assert not journal.has("one")
    written = (tmp_path / "m.csv.done").read_text()
    assert "one" not in written
    assert "here" not in written


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    manifest, path = tmp_path / "m.csv", tmp_path / "m.csv.done"
    with open_journal(manifest, "here") as journal:
        journal.add("one")
    path.write_bytes(path.read_bytes()[:30])
    with open_journal(manifest, "here") as journal:
        assert not journal.has("one")
        journal.add("two")
    with open_journal(manifest, "here") as journal:
        assert journal.has("two")


def test_a_journal_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(ServiceError, match=r"m.csv.done cannot be written"),
        open_journal(tmp_path / "no" / "m.csv", ""),
    ):
        pass


@pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_said() -> None:
    with FULL.open("wb", buffering=0) as file:
        journal = Journal(file, set(), "here")
        with pytest.raises(ServiceError, match="cannot be written"):
            journal.add("one")
        assert not journal.has("one")
