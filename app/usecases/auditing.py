"""Every use case that touches a person's voice, or who may ask, leaves an entry in the audit trail, also where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from app.audit import Action, AuditEntry, actor
from app.ports import AuditTrail
from app.records import utc_now
from model.errors import VouchError


@dataclass
class Noted:
    """What the entry will say, filled in as it becomes known."""

    outcome: str
    speaker_id: str | None
    about: str | None


@dataclass(frozen=True)
class Auditor:
    trail: AuditTrail
    clock: Callable[[], datetime] = utc_now

    @contextmanager
    def change(
        self, action: Action, outcome: str, tenant: str | None, speaker_id: str | None = None, about: str | None = None
    ) -> Iterator[Noted]:
        """Around something that writes. The entry is synced to disk before the call is answered.

        Raises StoreError, before anything is done, while earlier entries cannot be written: no change without a trace.
        """
        self.trail.require_room()
        with self._entry(action, outcome, tenant, speaker_id, about, is_synced=True) as noted:
            yield noted

    @contextmanager
    def question(self, action: Action, tenant: str | None, speaker_id: str | None = None) -> Iterator[Noted]:
        """Around something that only reads. The entry outlives a kill of the process; a power cut may take the last second's."""
        with self._entry(action, "answered", tenant, speaker_id, None, is_synced=False) as noted:
            yield noted

    def asked(self, action: Action, outcome: str, tenant: str, speaker_id: str) -> None:
        """Something that only read, and is over."""
        with self._entry(action, outcome, tenant, speaker_id, None, is_synced=False):
            pass

    def done(self, action: Action, outcome: str, tenant: str, speaker_id: str) -> None:
        """Something that was done already."""
        with self._entry(action, outcome, tenant, speaker_id, None, is_synced=True):
            pass

    @contextmanager
    def _entry(
        self,
        action: Action,
        outcome: str,
        tenant: str | None,
        speaker_id: str | None,
        about: str | None,
        *,
        is_synced: bool,
    ) -> Iterator[Noted]:
        noted = Noted(outcome, speaker_id, about)
        try:
            yield noted
        except VouchError as error:
            noted.outcome = error.code
            raise
        except BaseException:
            noted.outcome = VouchError.code
            raise
        finally:
            who = actor()
            entry = AuditEntry(
                at=self.clock(),
                action=action,
                outcome=noted.outcome,
                by=who.by,
                request_id=who.request_id,
                tenant=tenant,
                speaker_id=noted.speaker_id,
                about=noted.about,
            )
            self.trail.write(entry, is_synced=is_synced)
