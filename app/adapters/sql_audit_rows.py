"""The table of the audit trail: where its chains begin and end, and which are old."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CTE, Connection, Select, delete, func, select, true

from app.adapters.audit_lines import ChainEnd, written_time
from app.adapters.postgres_tables import audit_entries

N_DELETED_AT_ONCE = 10_000
_DELETION_LOCK = 0x766F756361  # "vouca"
"""Key of the advisory lock under which one process deletes what is old, from the beginning on."""


def newest_ends(connection: Connection, limit: int) -> list[ChainEnd]:
    """Of the chains that were written to last."""
    ends = _ends().subquery()
    rows = connection.execute(select(ends).order_by(ends.c.written_at.desc(), ends.c.chain).limit(limit))
    return [ChainEnd(row.chain, row.place, written_time(row.written_at)) for row in rows]


def first_lines(connection: Connection) -> list[bytes]:
    """Of each chain whose beginning is there, without its end."""
    chains = _chains()
    query = select(audit_entries.c.line).join(chains, audit_entries.c.chain == chains.c.chain)
    return [line.encode() for line in connection.execute(query.where(audit_entries.c.place == 1)).scalars()]


def delete_some_before(connection: Connection, kept_from: datetime, n_lines: int = N_DELETED_AT_ONCE) -> bool:
    """The beginning of one chain that ended before; False once there is none. Another process that does so is left to it."""
    if not connection.execute(select(func.pg_try_advisory_xact_lock(_DELETION_LOCK))).scalar_one():
        return True
    ends = _ends().subquery()
    chain = connection.execute(select(ends.c.chain).where(ends.c.written_at < kept_from).limit(1)).scalar()
    if chain is None:
        return False
    own = audit_entries.c.chain == chain
    first = select(func.min(audit_entries.c.place)).where(own).scalar_subquery()
    connection.execute(delete(audit_entries).where(own, audit_entries.c.place < first + n_lines))
    return True


def _chains() -> CTE:
    """Every chain, for one look at the index each: there are some a day, and millions of lines."""
    chains = select(func.min(audit_entries.c.chain).label("chain")).cte("chains", recursive=True)
    following = select(func.min(audit_entries.c.chain)).where(audit_entries.c.chain > chains.c.chain).scalar_subquery()
    return chains.union_all(select(following).where(chains.c.chain.is_not(None)))


def _ends() -> Select[tuple[str, int, datetime]]:
    chains = _chains()
    last = (
        select(audit_entries.c.place, audit_entries.c.written_at)
        .where(audit_entries.c.chain == chains.c.chain)
        .order_by(audit_entries.c.place.desc())
        .limit(1)
        .lateral()
    )
    return select(chains.c.chain, last.c.place, last.c.written_at).join(last, true())
