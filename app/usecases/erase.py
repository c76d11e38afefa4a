"""Takes back what somebody gave: one enrollment, or the whole speaker for good."""

from __future__ import annotations

from dataclasses import dataclass

from app.ports import SpeakerStore
from app.usecases.auditing import Auditor
from app.usecases.gallery_sync import GallerySync


@dataclass(frozen=True)
class Erase:
    store: SpeakerStore
    sync: GallerySync
    audit: Auditor

    def speaker(self, tenant: str, speaker_id: str) -> None:
        """Raises SpeakerNotFound."""
        with self.audit.change("erase_speaker", "erased", tenant, speaker_id):
            self.sync.refresh(tenant, self.store.erase_speaker(tenant, speaker_id))

    def enrollment(self, tenant: str, speaker_id: str, enrollment_id: str) -> None:
        """Raises SpeakerNotFound, EnrollmentNotFound."""
        with self.audit.change("erase_enrollment", "erased", tenant, speaker_id, enrollment_id):
            self.sync.refresh(tenant, self.store.remove_enrollment(tenant, speaker_id, enrollment_id))
