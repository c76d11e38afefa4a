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
Values = dict[str, Any]
"""Of one row, by column."""


def pages(connection: Connection, table: Table, columns: Sequence[Column[Any]]) -> Iterator[dict[Key, Values]]:
    """All rows, by key, in the order of the keys: up to `N_ROWS_AT_ONCE` at a time."""
    after: Key | None = None
    while rows := page(connection, table, columns, after):
        yield rows
        after = next(reversed(rows))


def page(connection: Connection, table: Table, columns: Sequence[Column[Any]], after: Key | None) -> dict[Key, Values]:
    """The first rows that come after this key; from the beginning where it is None."""
    query = select(*columns).order_by(*table.primary_key).limit(N_ROWS_AT_ONCE)
    if after is not None:
        query = query.where(tuple_(*table.primary_key) > after)
    return _by_key(table, connection.execute(query).all())


def found(
    connection: Connection, table: Table, columns: Sequence[Column[Any]], keys: Collection[Key]
) -> dict[Key, Values]:
    """Those with one of these keys, of which there are up to `N_ROWS_AT_ONCE`."""
    query = select(*columns).where(tuple_(*table.primary_key).in_(keys))
    return _by_key(table, connection.execute(query).all())


def count(connection: Connection, table: Table) -> int:
    if connection.dialect.name == "postgresql":
        lift_limits(connection)
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def naming_columns(table: Table) -> list[Column[Any]]:
    """Those that tell who a row is about: its key, and whatever else no two rows may have."""
    unique = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    names = {column.name for constraint in (table.primary_key, *unique) for column in constraint.columns}
    return [column for column in table.columns if column.name in names]


def are_same(one: Values, other: Values | None) -> bool:
    """In every column, and to the letter: to Python 1, 1.0 and True are equal, which in JSON are three."""
    return one == other and _written(one) == _written(other)


def _written(values: Values) -> list[str]:
    return [json.dumps(value, sort_keys=True) for value in values.values() if isinstance(value, (dict, list))]


def _by_key(table: Table, rows: Sequence[Row[Any]]) -> dict[Key, Values]:
    names = [column.name for column in table.primary_key]
    values = [dict(row._mapping) for row in rows]
    return {tuple(one[name] for name in names): one for one in values}
