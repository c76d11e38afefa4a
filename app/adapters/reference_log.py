"""Whose references were changed, for galleries in the memory of each replica: written in the transaction that changed them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, String, cast, delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from app.adapters.database import Database
from app.adapters.gallery_choice import require_gallery
from app.adapters.postgres_tables import deployment, reference_changes
from app.records import ChangedReferences, ChangesMark, SpeakerKey, utc_now

KEPT_FOR = timedelta(hours=1)
"""A replica that has asked nothing for longer reads everybody anew."""
_PRUNED = "reference_changes_pruned"
"""In the table `deployment`: the last transaction of which changes were forgotten."""


def _number(transaction: Any) -> Any:
    """From xid8, which has no other way to one."""
    return cast(cast(transaction, String), BigInteger)


_OLDEST_OPEN = _number(func.pg_snapshot_xmin(func.pg_current_snapshot()))


class ReferenceLog:
    """Fulfils `app.adapters.followers.Follower` and `app.ports.ReferenceChanges`.

    Rows are numbered before they are committed, and are not committed in that order. So a reader asks by transaction, from
    the oldest on that was not over when it asked last, and remembers which rows it has seen of those.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database, self._clock = database, clock

    def begin(self, connection: Connection) -> None:
        """Forgets what another server has numbered: one that a dump was restored into counts transactions anew."""
        ours = _number(func.pg_snapshot_xmax(func.pg_current_snapshot()))
        connection.execute(delete(reference_changes).where(reference_changes.c.transaction > ours))
        connection.execute(
            delete(deployment).where(deployment.c.name == _PRUNED, cast(deployment.c.value, BigInteger) > ours)
        )

    def changed(self, connection: Connection, tenant: str, number: int) -> bool:
        require_gallery(connection, "faiss")
        connection.execute(
            insert(reference_changes).values(
                transaction=_number(func.pg_current_xact_id()),
                tenant=tenant,
                speaker_seq=number,
                changed_at=self._clock(),
            )
        )
        return True

    def now(self) -> ChangesMark:
        with self._database.reading() as connection:
            return ChangesMark(connection.execute(select(_OLDEST_OPEN)).scalar_one())

    def since(self, mark: ChangesMark) -> ChangedReferences | None:
        pruned = select(cast(deployment.c.value, BigInteger)).where(deployment.c.name == _PRUNED).scalar_subquery()
        one = select(literal(1).label("one")).subquery()
        # One statement, and so one snapshot: what it does not see belongs to a transaction that it says is open.
        query = select(
            _OLDEST_OPEN, pruned, reference_changes.c.seq, reference_changes.c.tenant, reference_changes.c.speaker_seq
        ).select_from(one.outerjoin(reference_changes, reference_changes.c.transaction >= mark.transaction))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        oldest_open, last_pruned = rows[0][:2]
        if last_pruned is not None and last_pruned >= mark.transaction:
            return None
        changes = {seq: SpeakerKey(tenant, number) for _, _, seq, tenant, number in rows if seq is not None}
        fresh = frozenset(key for seq, key in changes.items() if seq not in mark.told)
        return ChangedReferences(fresh, ChangesMark(oldest_open, frozenset(changes)))

    def prune(self) -> None:
        self._database.write(self._prune)

    def _prune(self, connection: Connection) -> None:
        is_old = reference_changes.c.changed_at < self._clock() - KEPT_FOR
        gone = delete(reference_changes).where(is_old).returning(reference_changes.c.transaction)
        last = max(connection.execute(gone).scalars(), default=None)
        if last is None:
            return
        connection.execute(
            insert_or_update(deployment)
            .values(name=_PRUNED, value=str(last))
            .on_conflict_do_update(
                index_elements=[deployment.c.name],
                set_={"value": str(last)},
                # Another replica may have forgotten later ones.
                where=cast(deployment.c.value, BigInteger) < last,
            )
        )
