"""Keeps the gallery equal to the store. The store is the truth; the gallery only follows it."""

from __future__ import annotations

import threading

from app.ports import Gallery, SpeakerStore
from app.usecases.standing import StandingRule


class GallerySync:
    """Called after every commit that can change a reference.

    What changed is never passed in: under one lock the reference is read again and the gallery set to it. So whoever
    comes last writes what the store holds by then, and an enroll racing an erase cannot bring anybody back.
    """

    def __init__(self, store: SpeakerStore, gallery: Gallery, rule: StandingRule) -> None:
        self._store = store
        self._gallery = gallery
        self._rule = rule
        self._lock = threading.Lock()

    def rebuild(self) -> None:
        """Fills the gallery from the store with every speaker who can be identified."""
        with self._lock:
            enrolled = (r for r in self._store.references() if self._rule.of(r).status == "enrolled")
            self._gallery.rebuild(enrolled)

    def refresh(self, tenant: str, speaker_id: str) -> None:
        """Sets one speaker to what the store holds now."""
        with self._lock:
            try:
                reference = self._store.find_reference(tenant, speaker_id)
            except Exception:
                # Unreadable right after a commit: nobody may be found who could just have been erased.
                self._gallery.remove(tenant, speaker_id)
                raise
            if reference is not None and self._rule.of(reference).status == "enrolled":
                self._gallery.upsert(reference)
            else:
                self._gallery.remove(tenant, speaker_id)
