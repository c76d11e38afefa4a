"""Keeps the gallery equal to the store. The store is the truth; the gallery only follows it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from app.errors import StoreError
from app.ports import Gallery, ReferenceChanges, SpeakerStore
from app.records import ChangesMark, ReferenceBatch, SpeakerKey
from app.usecases.standing import StandingRule

_log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 3.0
"""Between two lines that say how far a rebuild has come."""

MAX_SETTLED_SINGLY = 1000
"""Reading everybody holds up whoever enrols or erases, for tens of seconds at a million."""


class GallerySync:
    """Called after every commit that can change a reference.

    What changed is never passed in: under one lock the reference is read again and the gallery set to it. So whoever
    comes last writes what the store holds by then, and an enroll racing an erase cannot bring anybody back. Nor can it
    under the erased speaker's id, since the one who is made anew has another number.
    """

    def __init__(
        self,
        store: SpeakerStore,
        gallery: Gallery,
        rule: StandingRule,
        changes: ReferenceChanges | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changes` tell what other processes change, where any have the store. `clock` gives seconds since any moment."""
        self._store = store
        self._gallery = gallery
        self._rule = rule
        self._changes = changes
        self._mark: ChangesMark | None = None
        self._clock = clock
        self._lock = threading.Lock()

    def start(self) -> None:
        """Fills the gallery, unless it is kept."""
        if not self._gallery.is_kept:
            self.rebuild()

    def rebuild(self) -> None:
        """Fills the gallery from the store with every speaker who can be identified, and says so in the log."""
        with self._lock:
            self._rebuild()

    def catch_up(self) -> None:
        """Sets whoever was changed by other replicas since the last time. Before every search, and now and then; costs one
        read, and where no other process has the store, nothing.
        """
        if self._changes is None or self._gallery.is_kept:
            return
        with self._lock:
            changed = None if self._mark is None else self._changes.since(self._mark)
            if changed is None or len(changed.speakers) > MAX_SETTLED_SINGLY:
                self._rebuild()
                return
            for tenant, number in changed.speakers:
                with suppress(
                    StoreError
                ):  # of this speaker's rows: the log has it, and nobody is found who should not be
                    self._set(tenant, number)
            self._mark = changed.mark

    def prune(self) -> None:
        """Changes that every replica has long seen."""
        if self._changes is not None:
            self._changes.prune()

    def settle(self, speakers: Collection[SpeakerKey]) -> int:
        """Sets these to what the store holds now, or everybody where they are many, whoever keeps the gallery. How many of
        them had to be, as far as that is known. Who cannot be read is in the gallery no more.
        """
        if len(speakers) > MAX_SETTLED_SINGLY:
            self.rebuild()
            return len(speakers)
        n_set = 0
        with self._lock:
            for tenant, number in speakers:
                with suppress(
                    StoreError
                ):  # of this speaker's rows, or of a store that the others will not get past either
                    if not self._gallery.is_kept:
                        self._set(tenant, number)
                        n_set += 1
                    elif self._store.follow_anew(tenant, number):
                        n_set += 1
        return n_set

    def refresh(self, tenant: str, number: int) -> None:
        """Sets one speaker to what the store holds now, where the store did not do so itself."""
        if not self._gallery.is_kept:
            with self._lock:
                self._set(tenant, number)

    def forget(self, tenant: str, number: int) -> None:
        """Somebody whose rows are gone. A number is given once, so there is nothing to look up."""
        if not self._gallery.is_kept:
            with self._lock:
                self._gallery.remove(tenant, [number])

    def _rebuild(self) -> None:
        # Before the first row is read: what changes meanwhile is then set once more, and not missed.
        if self._changes is not None:
            self._mark = self._changes.now()
        self._gallery.rebuild(self._enrolled())

    def _set(self, tenant: str, number: int) -> None:
        try:
            references = self._store.find_references(tenant, [number])
        except Exception:
            # Unreadable right after a commit: nobody may be found who could just have been erased.
            self._gallery.remove(tenant, [number])
            raise
        for reference in references:
            if self._rule.of(reference).status == "enrolled":
                self._gallery.upsert(reference)
                return
        self._gallery.remove(tenant, [number])

    def _enrolled(self) -> Iterator[ReferenceBatch]:
        n_speakers, n_read, n_enrolled = self._store.count_speakers(), 0, 0
        began = said = self._clock()
        _log.info("gallery: reading %s speakers", f"{n_speakers:,}")
        for batch in self._store.references():
            enrolled = batch.chosen(self._rule.is_enrolled(batch))
            yield enrolled
            n_read, n_enrolled = n_read + len(batch), n_enrolled + len(enrolled)
            now = self._clock()
            if now - said >= PROGRESS_INTERVAL_S:
                _log.info("gallery: %s of %s speakers", f"{n_read:,}", f"{n_speakers:,}")
                said = now
        _log.info("gallery: %s speakers can be identified; read in %.1f s", f"{n_enrolled:,}", self._clock() - began)
