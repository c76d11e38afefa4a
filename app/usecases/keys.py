"""API keys: made, listed, rotated, revoked; and the question that every request asks, whose key this is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from app.access import ApiKey, KeyHasher, MadeKey, Scope, id_of, new_key_id, write_key
from app.errors import KeyNotFound, StoreError, Unauthenticated
from app.ports import KeyStore
from app.records import utc_now
from app.usecases.auditing import Auditor

log = logging.getLogger("vouch")


class ApiKeys:
    """Every key in memory, as the store has it: a request costs no read, and what changes here is true at once.

    Where several processes share the store, `refresh` looks up what the others changed. Threads may call it at once.
    """

    def __init__(
        self, store: KeyStore, hasher: KeyHasher, audit: Auditor, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._audit = audit
        self._clock = clock
        self._changing = threading.Lock()
        self._keys = {key.key_id: key for key in store.load()}
        self._uses: dict[str, datetime] = {}

    @property
    def are_required(self) -> bool:
        """Whether a call needs a key: from the first one on, for good. Revoking the last one opens nothing."""
        return bool(self._keys)

    @property
    def is_shared(self) -> bool:
        """Whether `refresh` is due before each question."""
        return self._store.is_shared

    def authenticate(self, text: str) -> ApiKey:
        """Raises Unauthenticated, in the same words and after the same work whatever is wrong."""
        key = self._keys.get(id_of(text))
        is_right = self._hasher.matches(text, None if key is None else key.digest)
        now = self._clock()
        if key is None or not is_right or not key.is_valid(now):
            raise Unauthenticated("The API key is not valid: it is unknown, has expired, or was revoked.")
        self._uses[key.key_id] = now
        return key

    def refresh(self, text: str | None) -> None:
        """From a store that others write: what became of this key, or, without one, whether there are any."""
        if text is None:
            if not self._keys:
                self._keys = {key.key_id: key for key in self._store.load()}
            return
        found = self._store.find(id_of(text))
        if found is not None:
            self._keys[found.key_id] = found

    def create(self, name: str, tenant: str, scopes: Iterable[Scope], expires_at: datetime | None = None) -> MadeKey:
        made = self.new(name, tenant, scopes, expires_at)
        self.add(made.key)
        return made

    def new(self, name: str, tenant: str, scopes: Iterable[Scope], expires_at: datetime | None = None) -> MadeKey:
        """A key that opens nothing until it is added."""
        key_id = new_key_id()
        text = write_key(key_id)
        key = ApiKey(
            key_id=key_id,
            name=name,
            tenant=tenant,
            scopes=frozenset(scopes),
            digest=self._hasher.digest(text),
            created_at=self._clock(),
            expires_at=expires_at,
        )
        return MadeKey(key, text)

    def add(self, key: ApiKey) -> None:
        with self._audit.change("create_key", "created", key.tenant, about=key.key_id), self._changing:
            self._store.add(key)
            self._keys[key.key_id] = key

    def list(self) -> tuple[ApiKey, ...]:
        """Of every tenant, oldest first, the ended ones too."""
        return tuple(self._seen(key) for key in self._store.load())

    def revoke(self, key_id: str) -> ApiKey:
        """From here on the key opens nothing. Revoking it again changes nothing. Raises KeyNotFound."""
        with self._audit.change("revoke_key", "revoked", None, about=key_id), self._changing:
            key = self._find(key_id)
            if key.revoked_at is None:
                key = replace(key, revoked_at=self._clock())
                self._store.end(key)
            self._keys[key_id] = key
            return self._seen(key)

    def rotate(self, key_id: str, overlap: timedelta = timedelta(0)) -> MadeKey:
        """A new key that may do what this one may. The old one ends with the overlap, or now if there is none.

        Raises KeyNotFound, also for a key that has ended: what was revoked does not come back as another.
        """
        with self._audit.change("rotate_key", "rotated", None, about=key_id), self._changing:
            old, now = self._find(key_id), self._clock()
            if not old.is_valid(now):
                raise KeyNotFound(f"The key {key_id!r} has ended, so there is nothing to rotate. Make a new one.")
            made = self.new(old.name, old.tenant, old.scopes, old.expires_at)
            if overlap > timedelta(0):
                end = now + overlap
                ended = replace(old, expires_at=end if old.expires_at is None else min(end, old.expires_at))
            else:
                ended = replace(old, revoked_at=now)
            self._store.add(made.key, ended)
            self._keys |= {made.key.key_id: made.key, key_id: ended}
            return made

    def write_uses(self) -> None:
        """Tells the store when keys were last used, to the minute. A store that cannot take it is no reason to fail."""
        uses, self._uses = self._uses, {}
        uses = dict(uses)  # a request that had just reached for the old one may still write to it
        if uses:
            try:
                self._store.note_uses({key_id: used.replace(second=0, microsecond=0) for key_id, used in uses.items()})
            except StoreError as error:
                log.warning("when keys were last used could not be written: %s", error)

    def _find(self, key_id: str) -> ApiKey:
        key = self._store.find(key_id)
        if key is None:
            raise KeyNotFound(f"There is no key {key_id!r}.")
        return key

    def _seen(self, key: ApiKey) -> ApiKey:
        """With the use that the store was not told of yet."""
        used = self._uses.get(key.key_id)
        return key if used is None else replace(key, last_used_at=used.replace(second=0, microsecond=0))
