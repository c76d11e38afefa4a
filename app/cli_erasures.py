"""`vouch erasures`: what keeps the erased away from a PostgreSQL database that was restored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli_sentences import sentences
from app.settings import load_settings

erasures = typer.Typer(
    no_args_is_help=True, help="The log of erasures, of PostgreSQL: SQLite has it beside the database."
)


@erasures.command()
def export(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it is made, or added to.")]) -> None:
    """Adds to FILE what was erased since the last time, also while services run. It names nobody: keyed hashes only."""
    from app.adapters.erasure_copies import export_erasures

    with sentences():
        done = export_erasures(load_settings(), file)
    typer.echo(f"{file}: {done.n_erasures} erasures, {done.n_new} of them new.")


@erasures.command()
def apply(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file of `export`, or the URL of the database as it was before.")
    ],
) -> None:
    """Erases again, from a database that was restored, whoever was erased since. No service may run on it meanwhile."""
    from app.adapters.erasure_copies import apply_erasures

    with sentences():
        done = apply_erasures(load_settings(), source)
    typer.echo(
        f"Of {done.n_erasures} erasures this database lacked {done.n_new}; {done.n_swept} speakers and enrollments that "
        "had come back are erased again."
    )
