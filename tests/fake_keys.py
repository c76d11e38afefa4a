"""A KeyStore in memory, held to the contract tests of the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from app.access import ApiKey
from app.errors import KeyNotFound


class FakeKeyStore:
    """Fulfils `app.ports.KeyStore`."""

    def __init__(self, is_shared: bool = False) -> None:
        self.is_shared = is_shared
        self._keys: dict[str, ApiKey] = {}

    def load(self) -> tuple[ApiKey, ...]:
        return tuple(self._keys.values())

    def find(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    def add(self, key: ApiKey, ended: ApiKey | None = None) -> None:
        if ended is not None and self._keys[ended.key_id].revoked_at is not None:
            raise KeyNotFound(f"The key {ended.key_id!r} was revoked.")
        self._keys[key.key_id] = key
        if ended is not None:
            self.end(ended)

    def end(self, key: ApiKey) -> None:
        known = self._keys[key.key_id]
        self._keys[key.key_id] = replace(
            known, expires_at=key.expires_at, revoked_at=known.revoked_at or key.revoked_at
        )

    def note_uses(self, used: Mapping[str, datetime]) -> None:
        for key_id, used_at in used.items():
            known = self._keys[key_id]
            self._keys[key_id] = replace(known, last_used_at=max(used_at, known.last_used_at or used_at))
