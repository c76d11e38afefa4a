"""The speakers as records: made, read, listed, changed. Erasing is `erase.py`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from app.ports import SpeakerStore
from app.records import Enrollment, Idempotency, Metadata, Speaker, SpeakerChanges, SpeakerPage
from app.usecases.auditing import Auditor


def new_speaker_id() -> str:
    """`spk_` and 22 URL-safe characters: 128 random bits, so ids cannot be guessed or meet."""
    return f"spk_{secrets.token_urlsafe(16)}"


@dataclass(frozen=True)
class Speakers:
    store: SpeakerStore
    audit: Auditor

    def create(
        self,
        tenant: str,
        speaker_id: str | None,
        display_name: str | None,
        metadata: Metadata,
        consent: Metadata | None,
        idempotency: Idempotency | None = None,
    ) -> Speaker:
        """Under the caller's id, or a new one. Raises SpeakerExists, IdempotencyConflict."""
        chosen = new_speaker_id() if speaker_id is None else speaker_id
        with self.audit.change("create_speaker", "created", tenant, chosen) as noted:
            made = self.store.create_speaker(tenant, chosen, display_name, metadata, consent, idempotency)
            noted.speaker_id = made.speaker_id  # another one where the key made one before
        return made

    def get(self, tenant: str, speaker_id: str) -> Speaker:
        return self.store.get_speaker(tenant, speaker_id)

    def page(self, tenant: str, limit: int, cursor: str | None) -> SpeakerPage:
        return self.store.list_speakers(tenant, limit, cursor)

    def change(self, tenant: str, speaker_id: str, changes: SpeakerChanges) -> Speaker:
        with self.audit.change("change_speaker", "changed", tenant, speaker_id):
            return self.store.update_speaker(tenant, speaker_id, changes)

    def enrollments(self, tenant: str, speaker_id: str) -> tuple[Enrollment, ...]:
        return self.store.list_enrollments(tenant, speaker_id)
