"""API keys: what is kept of one, who is let in; and the first key of a service beyond loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.access import SCOPES, KeyHasher, id_of, new_key_id, write_key
from app.adapters.bootstrap_key import write_bootstrap_key
from app.errors import KeyNotFound, SettingsError, StoreError, Unauthenticated
from app.records import utc_now
from app.usecases.auditing import Auditor
from app.usecases.keys import ApiKeys
from fake_keys import FakeKeyStore
from fake_trail import FakeAuditTrail

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
UNHEARD = Auditor(FakeAuditTrail())


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


class CountingHasher(KeyHasher):
    def __init__(self) -> None:
        super().__init__(b"secret")
        self.n_matched = 0
        self.n_hashed = 0

    def digest(self, text: str) -> bytes:
        self.n_hashed += 1
        return super().digest(text)

    def matches(self, text: str, digest: bytes | None) -> bool:
        self.n_matched += 1
        return super().matches(text, digest)


def test_a_key_has_256_random_bits_and_tells_its_id() -> None:
    key_id = new_key_id()
    text = write_key(key_id)
    assert id_of(text) == key_id
    assert len(bytes.fromhex(key_id)) == 8
    assert len(bytes.fromhex(text.split("_")[2])) == 32
    assert text != write_key(key_id)


@pytest.mark.parametrize("text", ["", "vouch", "vouch_1", "vouch_1_", "other_1_2", "_1_2"])
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert id_of(text) == ""


def test_whatever_follows_the_id_is_the_secret() -> None:
    assert id_of("vouch_1_2_3") == "1"


def test_half_a_surrogate_pair_is_a_wrong_key_like_any_other() -> None:
    assert not KeyHasher(b"secret").matches("vouch_1_\ud800", None)


def test_the_service_s_own_clock_knows_its_zone() -> None:
    assert utc_now().tzinfo is UTC


def test_a_hash_needs_the_secret_and_fits_its_own_key_only() -> None:
    hasher, text = KeyHasher(b"secret"), "vouch_1_2"
    assert hasher.matches(text, hasher.digest(text))
    assert not hasher.matches(text, KeyHasher(b"other").digest(text))
    assert not hasher.matches(text, hasher.digest("vouch_2_2"))
    assert not hasher.matches(text, None)


def test_the_same_work_is_done_whatever_is_wrong() -> None:
    hasher, clock = CountingHasher(), Clock()
    keys = ApiKeys(FakeKeyStore(), hasher, UNHEARD, clock)
    good = keys.create("n", "t", SCOPES).text
    revoked, expired = keys.create("n", "t", SCOPES), keys.create("n", "t", SCOPES, NOON)
    keys.revoke(revoked.key.key_id)
    for text in ("", "no key", good[:-1], write_key("0" * 16), revoked.text, expired.text):
        before = hasher.n_hashed, hasher.n_matched
        with pytest.raises(Unauthenticated):
            keys.authenticate(text)
        assert (hasher.n_hashed, hasher.n_matched) == (before[0] + 1, before[1] + 1)
    assert keys.authenticate(good).tenant == "t"


def test_a_key_is_valid_until_it_expires() -> None:
    clock = Clock()
    keys = ApiKeys(FakeKeyStore(), KeyHasher(b"secret"), UNHEARD, clock)
    text = keys.create("n", "t", ["verify"], NOON + timedelta(seconds=1)).text
    keys.authenticate(text)
    clock.now += timedelta(seconds=1)
    with pytest.raises(Unauthenticated):
        keys.authenticate(text)
    assert keys.are_required


def test_an_overlap_never_lengthens_a_key() -> None:
    clock = Clock()
    keys = ApiKeys(FakeKeyStore(), KeyHasher(b"secret"), UNHEARD, clock)
    old = keys.create("n", "t", ["verify"], NOON + timedelta(hours=1))
    new = keys.rotate(old.key.key_id, timedelta(hours=5))
    assert keys.list()[0].expires_at == new.key.expires_at == NOON + timedelta(hours=1)
    clock.now += timedelta(hours=1)
    with pytest.raises(KeyNotFound, match="has ended"):
        keys.rotate(old.key.key_id)


def test_a_key_that_is_replaced_without_an_overlap_ends_now() -> None:
    clock = Clock()
    keys = ApiKeys(FakeKeyStore(), KeyHasher(b"secret"), UNHEARD, clock)
    old = keys.create("app", "acme", ["verify", "enroll"], NOON + timedelta(days=1))
    clock.now += timedelta(minutes=5)
    new = keys.rotate(old.key.key_id)
    ended = keys.list()[0]
    assert (ended.revoked_at, ended.expires_at) == (clock.now, NOON + timedelta(days=1))
    assert (new.key.name, new.key.tenant, new.key.scopes) == ("app", "acme", {"verify", "enroll"})
    assert (new.key.created_at, new.key.expires_at) == (clock.now, NOON + timedelta(days=1))
    assert keys.authenticate(new.text) == new.key
    with pytest.raises(Unauthenticated):
        keys.authenticate(old.text)


@pytest.mark.parametrize("expires_at", [None, NOON + timedelta(days=1)])
def test_a_key_that_is_replaced_with_an_overlap_opens_until_its_end(expires_at: datetime | None) -> None:
    clock = Clock()
    keys = ApiKeys(FakeKeyStore(), KeyHasher(b"secret"), UNHEARD, clock)
    old = keys.create("app", "acme", ["verify"], expires_at)
    new = keys.rotate(old.key.key_id, timedelta(hours=1))
    clock.now += timedelta(minutes=59)
    assert keys.authenticate(old.text).expires_at == NOON + timedelta(hours=1)
    clock.now += timedelta(minutes=1)
    with pytest.raises(Unauthenticated):
        keys.authenticate(old.text)
    assert keys.authenticate(new.text).expires_at == expires_at


def test_a_revocation_keeps_its_first_moment() -> None:
    clock = Clock()
    keys = ApiKeys(FakeKeyStore(), KeyHasher(b"secret"), UNHEARD, clock)
    made = keys.create("app", "acme", ["verify"])
    assert keys.revoke(made.key.key_id).revoked_at == NOON
    clock.now += timedelta(hours=1)
    assert keys.revoke(made.key.key_id).revoked_at == NOON
    assert keys.list()[0].revoked_at == NOON


def test_what_is_wrong_with_a_key_is_said_in_a_sentence() -> None:
    keys = ApiKeys(FakeKeyStore(), KeyHasher(b"secret"), UNHEARD)
    with pytest.raises(Unauthenticated) as refused:
        keys.authenticate("vouch_1_2")
    assert str(refused.value) == "The API key is not valid: it is unknown, has expired, or was revoked."
    with pytest.raises(KeyNotFound) as unknown:
        keys.revoke("0f")
    assert str(unknown.value) == "There is no key '0f'."
    ended = keys.revoke(keys.create("n", "t", ["verify"]).key.key_id).key_id
    with pytest.raises(KeyNotFound) as over:
        keys.rotate(ended)
    assert str(over.value) == f"The key {ended!r} has ended, so there is nothing to rotate. Make a new one."


def test_what_another_process_changes_is_seen_after_a_refresh() -> None:
    store = FakeKeyStore(is_shared=True)
    ours, others = (ApiKeys(store, KeyHasher(b"secret"), UNHEARD) for _ in range(2))
    made = others.create("n", "t", ["verify"])
    assert not ours.are_required
    ours.refresh(None)
    assert ours.are_required
    ours.authenticate(made.text)
    others.revoke(made.key.key_id)
    ours.refresh(made.text)
    with pytest.raises(Unauthenticated):
        ours.authenticate(made.text)


def test_uses_are_written_now_and_then_to_the_minute() -> None:
    store, clock = FakeKeyStore(), Clock()
    keys = ApiKeys(store, KeyHasher(b"secret"), UNHEARD, clock)
    made = keys.create("n", "t", ["verify"])
    clock.now += timedelta(seconds=90, microseconds=5)
    keys.authenticate(made.text)
    assert store.load()[0].last_used_at is None
    assert keys.list()[0].last_used_at == NOON + timedelta(minutes=1)
    keys.write_uses()
    assert store.load()[0].last_used_at == NOON + timedelta(minutes=1)


def test_uses_that_cannot_be_written_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    class Full(FakeKeyStore):
        def note_uses(self, used):
            raise StoreError("The disk is full.")

    keys = ApiKeys(Full(), KeyHasher(b"secret"), UNHEARD)
    keys.write_uses()
    assert caplog.messages == []
    keys.authenticate(keys.create("n", "t", ["verify"]).text)
    keys.write_uses()
    assert caplog.messages == ["when keys were last used could not be written: The disk is full."]


def test_a_first_key_is_its_owner_s_alone_and_replaces_nothing_but_keys(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.key"
    write_bootstrap_key(path, "vouch_1_2")
    write_bootstrap_key(path, "vouch_1_3")
    assert path.read_text() == "vouch_1_3\n"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("something else")
    with pytest.raises(SettingsError, match="holds something that is no key"):
        write_bootstrap_key(path, "vouch_1_4")
    assert path.read_text() == "something else"
    with pytest.raises(SettingsError, match="cannot be written"):
        write_bootstrap_key(tmp_path / "nowhere" / "key", "vouch_1_4")
