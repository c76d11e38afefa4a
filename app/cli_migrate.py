"""`vouch migrate`: the embedded database into PostgreSQL, or back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli_options import AsJson
from app.cli_sentences import sentences
from app.settings import load_settings
from model.errors import InvalidArgument

if TYPE_CHECKING:
    from app.adapters.migrating import Moved

ToUrl = Annotated[
    str | None,
    typer.Option("--to", help="The PostgreSQL database; beside --from the new file, default the data directory's."),
]
FromUrl = Annotated[str | None, typer.Option("--from", help="A PostgreSQL database, for the way back.")]


def migrate(to_url: ToUrl = None, from_url: FromUrl = None, as_json: AsJson = False) -> None:
    """Copies everything from the embedded database to PostgreSQL, or back, and compares every row.

    Beside a running service it copies what there is. Stop the service and run it again: it takes the difference, and the copy is
    complete. It may be killed and run again at any time.
    """
    from app.adapters.migrating import move_to_file, move_to_server

    with sentences(), _bar() as bar:
        settings = load_settings()
        if from_url is not None:
            moved = move_to_file(settings, from_url, to_url, bar)
        elif to_url is not None:
            moved = move_to_server(settings, to_url, bar)
        else:
            raise InvalidArgument(
                "Name the database: --to postgresql+psycopg://user@host/database, or --from for the way back."
            )
    if as_json:
        tables = {name: asdict(tally) for name, tally in moved.tables.items()}
        typer.echo(
            json.dumps({"complete": moved.is_complete, "tables": tables, "audit_entries": moved.n_audit_entries})
        )
    else:
        _tell(moved)


class _Bar:
    """How many rows are done; each counts twice, once when it is copied and once when it is compared."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("copying and comparing", total=None)

    def begin(self, n_rows: int) -> None:
        self._progress.update(self._task, total=n_rows)

    def advance(self, n_rows: int) -> None:
        self._progress.advance(self._task, n_rows)


@contextmanager
def _bar() -> Iterator[_Bar]:
    """On a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield _Bar(progress)


def _tell(moved: Moved) -> None:
    for name, tally in moved.tables.items():
        typer.echo(
            f"{name}: {tally.rows} rows; {tally.copied} copied, {tally.updated} updated, {tally.deleted} deleted, "
            f"{tally.verified} compared."
        )
    if not moved.is_complete:
        typer.echo(
            f"NOT COMPLETE: a service still has {moved.source}, and what it writes from now on is not in {moved.target}. Stop it, "
            "and run the same command again: it takes the difference. No service starts on what is not complete."
        )
        return
    typer.echo(
        f"Complete: every row of {moved.source} is in {moved.target}. Start services on that only, with the same master key. "
        f"Delete {moved.source} when it is not needed any more: no erasure reaches it."
    )
    if moved.n_audit_entries:
        typer.echo(f"{moved.n_audit_entries} entries of the audit trail stay in {moved.source}.")
