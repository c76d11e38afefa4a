"""What is derived from the enrollments inside the transaction that changes them, so that the two cannot differ."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection


class Follower(Protocol):
    def changed(self, connection: Connection, tenant: str, number: int) -> bool:
        """The enrollments of the speaker with this number have changed in this transaction, or the speaker is gone. Whether
        anything that was derived before differs from what is now.

        Raises StoreError, and nothing was changed.
        """
        ...


class NoFollower:
    """Where one process has the database, its gallery is told after the commit."""

    def changed(self, connection: Connection, tenant: str, number: int) -> bool:  # noqa: ARG002 - the contract's
        return False


NO_FOLLOWER = NoFollower()
