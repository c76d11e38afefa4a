"""Takes back what somebody gave: one enrollment, or the whole speaker for good."""

from __future__ import annotations

from dataclasses import dataclass

from app.ports import SpeakerStore
from app.usecases.gallery_sync import GallerySync


@dataclass(frozen=True)
class Erase:
    store: SpeakerStore
    sync: GallerySync

    def speaker(self, tenant: str, speaker_id: str) -> None:
        """Raises SpeakerNotFound."""
        self.sync.refresh(tenant, self.store.erase_speaker(tenant, speaker_id))

    def enrollment(self, tenant: str, speaker_id: str, enrollment_id: str) -> None:
        """Raises SpeakerNotFound, EnrollmentNotFound."""
        self.sync.refresh(tenant, self.store.remove_enrollment(tenant, speaker_id, enrollment_id))
