"""Rows of any table by their keys, as values that are the same from either kind of database."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, UniqueConstraint, func, select, tuple_

from app.adapters.postgres import lift_limits

N_ROWS_AT_ONCE = 400
"""A key has up to two columns, and SQLite before 3.32 takes no more than 999 values."""

Key = tuple[Any, ...]
Rows = dict[Key, Row[Any]]


def pages(connection: Connection, table: Table, columns: Sequence[Column[Any]]) -> Iterator[Rows]:
    """All rows, by key, in the order of the keys: up to `N_ROWS_AT_ONCE` at a time."""
    after: Key | None = None
    while rows := page(connection, table, columns, after):
        yield rows
        after = next(reversed(rows))


def page(connection: Connection, table: Table, columns: Sequence[Column[Any]], after: Key | None) -> Rows:
    """The first rows that come after this key; from the beginning where it is None."""
    query = select(*columns).order_by(*table.primary_key).limit(N_ROWS_AT_ONCE)
    if after is not None:
        query = query.where(tuple_(*table.primary_key) > after)
    return _by_key(table, columns, connection.execute(query).all())


def found(connection: Connection, table: Table, columns: Sequence[Column[Any]], keys: Collection[Key]) -> Rows:
    """Those with one of these keys, of which there are up to `N_ROWS_AT_ONCE`."""
    query = select(*columns).where(tuple_(*table.primary_key).in_(keys))
    return _by_key(table, columns, connection.execute(query).all())


def count(connection: Connection, table: Table) -> int:
    if connection.dialect.name == "postgresql":
        lift_limits(connection)
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def naming_columns(table: Table) -> list[Column[Any]]:
    """Those that tell who a row is about: its key, and whatever else no two rows may have."""
    unique = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    names = {column.name for constraint in (table.primary_key, *unique) for column in constraint.columns}
    return [column for column in table.columns if column.name in names]


def are_same(one: Row[Any], other: Row[Any] | None) -> bool:
    """In every column, and to the letter: to Python 1, 1.0 and True are equal, which in JSON are three."""
    return other is not None and one == other and _written(one) == _written(other)


def _written(row: Row[Any]) -> list[str]:
    return [json.dumps(value, sort_keys=True) for value in row if isinstance(value, (dict, list))]


def _by_key(table: Table, columns: Sequence[Column[Any]], rows: Sequence[Row[Any]]) -> Rows:
    names = [column.name for column in columns]
    places = [names.index(column.name) for column in table.primary_key]
    return {tuple(row[place] for place in places): row for row in rows}
