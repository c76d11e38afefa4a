"""The numbers that a table gave to its rows: none is given twice, also where the rows move to another database."""

from __future__ import annotations

from sqlalchemy import Connection, Table, text


def is_numbered(table: Table) -> bool:
    return "seq" in table.columns


def highest_number(connection: Connection, table: Table) -> int:
    """The highest that was ever given, also to a row that is gone; 0 where none was."""
    if connection.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return connection.execute(query, {"name": table.name}).scalar() or 0
    row = connection.execute(text(f"SELECT last_value, is_called FROM {_sequence(table)}")).one()  # nosec B608 # a name of ours
    return int(row.last_value) if row.is_called else 0


def raise_number(connection: Connection, table: Table, number: int) -> None:
    """No number up to this one is given any more."""
    if number <= highest_number(connection, table):
        return
    values = {"name": table.name, "number": number}
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT setval(:name, :number)"), values | {"name": _sequence(table)})
    elif not connection.execute(text("UPDATE sqlite_sequence SET seq = :number WHERE name = :name"), values).rowcount:
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"), values)


def _sequence(table: Table) -> str:
    return f"{table.name}_seq_seq"
