"""Who did what is written down, whatever came of it: through the service, and as `vouch audit` tells it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import fake_audio
from api_client import audio, enroll, pair, problem, serving
from app.access import SCOPES
from app.adapters.audit_files import AuditFiles
from app.adapters.audit_lines import TrailKeys
from app.adapters.sql_secrets import open_master_key, read_secrets
from app.audit import NO_KEY, AuditEntry
from app.cli import cli
from app.components import open_keys
from app.settings import Settings
from fake_audio import clip
from fake_trail import FakeAuditTrail

WHO = {"X-Request-ID": "req_of_the_test"}
LATER = datetime(2999, 1, 1, 12, tzinfo=UTC)


def told(entries: list[AuditEntry]) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.action, one.outcome, one.speaker_id, one.about) for one in entries]


def test_every_call_on_a_voice_leaves_an_entry() -> None:
    trail = FakeAuditTrail()
    with serving(fake_audio.components(trail=trail), embeddings_enabled=True) as client:
        first = enroll(client, "alice")["enrollments"][0]["enrollment_id"]
        client.patch("/v1/speakers/alice", json={"display_name": "A"})
        client.post("/v1/speakers/alice/verify", files=audio(clip(take=9)))
        client.post("/v1/speakers/alice/verify", files=audio(clip("mallory")))
        client.post("/v1/speakers/alice/verify", files=audio(clip(speech_s=0.2)))
        client.post("/v1/identify", files=audio(clip(take=9)))
        client.post("/v1/identify", files=audio(clip("mallory")))
        client.post("/v1/embeddings", files=audio(clip()))
        client.delete(f"/v1/speakers/alice/enrollments/{first}")
        client.delete("/v1/speakers/alice")
    assert told(trail.entries) == [
        ("create_speaker", "created", "alice", None),
        ("enroll", "enrolled", "alice", None),
        ("change_speaker", "changed", "alice", None),
        ("verify", "accept", "alice", None),
        ("verify", "reject", "alice", None),
        ("verify", "inconclusive", "alice", None),
        ("identify", "accept", "alice", None),
        ("identify", "reject", None, None),
        ("embed", "answered", None, None),
        ("erase_enrollment", "erased", "alice", first),
        ("erase_speaker", "erased", "alice", None),
    ]
    assert {(one.by, one.tenant) for one in trail.entries} == {(NO_KEY, "default")}
    assert all(one.request_id for one in trail.entries)


def test_what_was_refused_leaves_its_code() -> None:
    trail = FakeAuditTrail()
    with serving(fake_audio.components(trail=trail)) as client:
        enroll(client, "alice")
        trail.entries.clear()
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        client.post("/v1/speakers/bob/verify", files=audio(clip()))
        client.post("/v1/speakers/alice/verify", files=audio(b"no audio"))
        client.post("/v1/speakers/alice/enrollments", files=audio(clip("mallory")))
        client.delete("/v1/speakers/bob")
    assert [(one.action, one.outcome) for one in trail.entries] == [
        ("create_speaker", "speaker_exists"),
        ("verify", "speaker_not_found"),
        ("verify", "unsupported_audio"),
        ("enroll", "inconsistent_voice"),
        ("erase_speaker", "speaker_not_found"),
    ]


def test_a_key_is_named_by_its_id_and_its_own_life_is_told() -> None:
    trail = FakeAuditTrail()
    parts = fake_audio.components(trail=trail, keys=fake_audio.api_keys(trail))
    admin = parts.keys.create("admin", "ours", SCOPES)
    with serving(parts) as client:
        headers = {"X-API-Key": admin.text, **WHO}
        made = client.post("/v1/keys", json={"name": "n", "scopes": ["verify"]}, headers=headers).json()["about"][
            "key_id"
        ]
        client.post("/v1/speakers", json={"speaker_id": "alice"}, headers=headers)
        new = client.post(f"/v1/keys/{made}/rotate", json={}, headers=headers).json()["about"]["key_id"]
        client.delete(f"/v1/keys/{new}", headers=headers)
        client.delete("/v1/keys/00", headers=headers)
    by_command, *by_key = trail.entries
    assert (by_command.by, by_command.about, by_command.tenant) == ("command line", admin.key.key_id, "ours")
    assert {(one.by, one.request_id) for one in by_key} == {(admin.key.key_id, "req_of_the_test")}
    assert told(by_key) == [
        ("create_key", "created", None, made),
        ("create_speaker", "created", "alice", None),
        ("rotate_key", "rotated", None, made),
        ("revoke_key", "revoked", None, new),
        ("revoke_key", "key_not_found", None, "00"),
    ]
    assert not any(admin.text.split("_")[2] in repr(one) for one in trail.entries)


def test_changes_are_on_disk_before_they_are_answered_and_none_begins_without_room() -> None:
    trail = FakeAuditTrail()
    with serving(fake_audio.components(trail=trail)) as client:
        enroll(client, "alice")
        assert trail.synced == trail.entries
        trail.is_full = True
        n_before = len(trail.entries)
        for refused in (
            client.post("/v1/speakers", json={"speaker_id": "bob"}),
            client.post("/v1/speakers/alice/enrollments", files=audio(clip(take=3))),
            client.delete("/v1/speakers/alice"),
        ):
            problem(refused, 503, "store_error")
        assert client.get("/v1/speakers/bob").status_code == 404
        assert client.get("/v1/speakers/alice").json()["enrollment_count"] == 2
        assert client.post("/v1/speakers/alice/verify", files=audio(clip(take=9))).json()["decision"] == "accept"
        assert told(trail.entries[n_before:]) == [("verify", "accept", "alice", None)]


def test_compare_concerns_nobody_who_is_kept() -> None:
    trail = FakeAuditTrail()
    with serving(fake_audio.components(trail=trail)) as client:
        client.post("/v1/compare", files=pair(clip(), clip(take=2)))
    assert trail.entries == []


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["audit", *arguments], env={"VOUCH_DATA_DIR": str(folder)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory in which a key was made, and alice was verified twice and bob once, a minute apart."""
    settings = Settings(data_dir=tmp_path / "data")
    with open_keys(settings) as keys:
        keys.create("n", "default", ["verify"])
    secrets = read_secrets(settings.store_url, open_master_key(settings, may_make=False))
    trail = AuditFiles(settings.data_dir / "audit", TrailKeys.of(secrets.speaker_ids), 0, lambda: LATER)
    for n, (name, outcome) in enumerate([("alice", "accept"), ("bob", "reject"), ("alice", "reject")]):
        at = LATER + timedelta(minutes=n)
        trail.write(AuditEntry(at, "verify", outcome, "00ff", "req", "default", name, None), is_synced=True)
    return settings.data_dir


def listed(folder: Path, *arguments: str) -> list[Any]:
    result = run(folder, "list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_trail_is_listed_by_whom_it_is_about(folder: Path) -> None:
    everything = listed(folder)
    assert [one["action"] for one in everything] == ["create_key", "verify", "verify", "verify"]
    assert everything[0]["by"] == "command line"
    assert [one["outcome"] for one in listed(folder, "--speaker", "alice")] == ["accept", "reject"]
    assert listed(folder, "--speaker", "alice", "--tenant", "another") == []
    assert len(listed(folder, "--tenant", "default", "--action", "verify")) == 3
    assert [one["outcome"] for one in listed(folder, "--since", "2999-01-01T12:01")] == ["reject", "reject"]
    shown = run(folder, "list", "--speaker", "bob")
    assert "2999-01-01T12:01:00.000000Z  verify            reject" in shown.stdout
    assert "bob" not in shown.stdout


def test_the_trail_is_checked(folder: Path) -> None:
    whole = run(folder, "check")
    assert whole.exit_code == 0
    assert "Whole: 4 entries in 2 files" in whole.stdout
    mac = json.loads(run(folder, "check", "--json").stdout)["last_mac"]
    assert run(folder, "check", "--holds", mac).exit_code == 0
    path = folder / "audit" / "2999-01-01.jsonl"
    path.write_text(path.read_text().replace("accept", "reject"))
    changed = run(folder, "check")
    assert changed.exit_code == 1
    assert "NOT WHOLE" in changed.stderr
    assert "2999-01-01.jsonl, line 2" in changed.stderr
    assert json.loads(run(folder, "check", "--json").stdout)["problem"]


def test_a_running_service_is_no_hindrance(folder: Path) -> None:
    with open_keys(Settings(data_dir=folder)):
        assert run(folder, "check").exit_code == 0


def test_what_cannot_be_told_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    nowhere = run(tmp_path / "nowhere", "list")
    assert (nowhere.exit_code, nowhere.stderr) == (
        2,
        "vouch: There is no database yet, and so no audit trail: VOUCH_DATA_DIR says where it is looked for.\n",
    )
    assert "must be one of: create_speaker" in run(folder, "list", "--action", "fly").stderr
    (folder / "master.key").unlink()
    assert "master key" in run(folder, "check").stderr
