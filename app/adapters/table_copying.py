"""Makes a database hold the rows of another one, of the same schema, whatever part of them it holds already.

Rows go as they are: what is sealed stays sealed. Nothing is noted of how far a copy came. Each one compares every row, so that
what was cut short, or has changed since, is made good by the next; and at the end it reads all of them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, tuple_, update
from sqlalchemy.exc import IntegrityError

from app.adapters.database import Database
from app.adapters.numbering import highest_number, is_numbered, raise_number
from app.adapters.table_rows import Key, are_same, count, found, naming_columns, page, pages
from app.adapters.tables import METADATA
from app.errors import StoreError

_OLD = "old_"
"""Before the name of a key's column, where an UPDATE looks for it."""
_SOMEBODY_ELSE = "Something else writes to it: stop that, and run the same command again."


@dataclass
class Tally:
    """Of one table."""

    rows: int
    copied: int = 0
    updated: int = 0
    deleted: int = 0
    verified: int = 0
    """Rows that were read from both sides at the end, and are the same in every column."""


class Progress(Protocol):
    def begin(self, n_rows: int) -> None:
        """Once: how many will be told of."""
        ...

    def advance(self, n_rows: int) -> None: ...


def copy_tables(source: Connection, target: Database, progress: Progress) -> dict[str, Tally]:
    """Makes the target's tables equal to the source's, and reads both again. What was done for each table, by name.

    `source` is a transaction that sees one moment. The target gives no number that the source ever gave. Raises StoreError
    where a row is not the same in the end.
    """
    tables = METADATA.sorted_tables  # parents before what refers to them
    tallies = {table.name: Tally(count(source, table)) for table in tables}
    progress.begin(2 * sum(tally.rows for tally in tallies.values()))
    try:
        # First, since whoever is gone may bear the name of one who came; a parent would take its children along uncounted.
        for table in reversed(tables):
            _remove_strays(source, target, table, tallies[table.name])
        for table in tables:
            _copy(source, target, table, tallies[table.name], progress)
            if is_numbered(table):
                with target.writing() as connection:
                    raise_number(connection, table, highest_number(source, table))
    except IntegrityError as error:
        raise StoreError(f"The target refuses a row: {error.orig}. {_SOMEBODY_ELSE}") from error
    for table in tables:
        _verify(source, target, table, tallies[table.name], progress)
    return tallies


def _remove_strays(source: Connection, target: Database, table: Table, tally: Tally) -> None:
    """Rows that the source has not, or whose number it gave to another: numbers begin again after a backup is restored."""
    columns = naming_columns(table)
    after: Key | None = None
    while True:
        with target.writing() as connection:
            rows = page(connection, table, columns, after)
            if not rows:
                return
            known = found(source, table, columns, rows)
            strays = [key for key, row in rows.items() if known.get(key) != row]
            if strays:
                connection.execute(delete(table).where(tuple_(*table.primary_key).in_(strays)))
        tally.deleted += len(strays)
        after = next(reversed(rows))


def _copy(source: Connection, target: Database, table: Table, tally: Tally, progress: Progress) -> None:
    key_names = [column.name for column in table.primary_key]
    change = update(table).where(and_(*(column == bindparam(_OLD + column.name) for column in table.primary_key)))
    for rows in pages(source, table, list(table.columns)):
        with target.writing() as connection:
            there = found(connection, table, list(table.columns), rows)
            new = [dict(row._mapping) for key, row in rows.items() if key not in there]
            changed = [
                {_OLD + name if name in key_names else name: value for name, value in row._mapping.items()}
                for key, row in rows.items()
                if key in there and not are_same(row, there[key])
            ]
            if new:
                connection.execute(insert(table), new)
            if changed:
                connection.execute(change, changed)
        tally.copied += len(new)
        tally.updated += len(changed)
        progress.advance(len(rows))


def _verify(source: Connection, target: Database, table: Table, tally: Tally, progress: Progress) -> None:
    for rows in pages(source, table, list(table.columns)):
        with target.reading() as connection:
            there = found(connection, table, list(table.columns), rows)
        tally.verified += sum(are_same(row, there.get(key)) for key, row in rows.items())
        progress.advance(len(rows))
    with target.reading() as connection:
        n_there = count(connection, table)
    if not tally.verified == tally.rows == n_there:
        raise StoreError(
            f"Of {tally.rows} rows of {table.name} the target has {tally.verified} as they are, and {n_there} in all. "
            f"{_SOMEBODY_ELSE}"
        )
