"""An AuditTrail in memory."""

from __future__ import annotations

from app.audit import AuditEntry
from app.errors import StoreError


class FakeAuditTrail:
    """Fulfils `app.ports.AuditTrail`."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.synced: list[AuditEntry] = []
        self.is_full = False

    @property
    def n_unwritten(self) -> int:
        return 0

    def require_room(self) -> None:
        if self.is_full:
            raise StoreError("The audit trail cannot be written.")

    def write(self, entry: AuditEntry, *, is_synced: bool) -> None:
        self.entries.append(entry)
        if is_synced:
            self.sync()

    def sync(self) -> None:
        self.synced = list(self.entries)

    def close(self) -> None:
        self.sync()
