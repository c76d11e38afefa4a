"""`vouch backup` and `vouch restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli_sentences import sentences
from app.settings import load_settings

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The backup: a SQLite file.")]


def backup(
    file: BackupFile,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there already.")] = False,
) -> None:
    """Copies the database to FILE, checked and whole, also while the service runs.

    The master key is not in it, and without the master key it is of no use: keep both, and not in one place.
    """
    from app.adapters.backup import back_up, database_file

    with sentences():
        done = back_up(database_file(load_settings().store_url), file, may_replace=force)
    found = done.checked
    typer.echo(
        f"{file}: {found.n_speakers} speakers, {found.n_enrollments} enrollments, {found.n_erasures} erasures, schema "
        f"{found.revision}, {done.n_bytes} bytes, checked.\nSHA-256 {done.sha256}\nThe master key is not in it. Keep a "
        "copy of the key elsewhere: neither is of use without the other."
    )


def restore(
    file: BackupFile,
    discard: Annotated[bool, typer.Option("--discard", help="Do not keep the database that is replaced.")] = False,
) -> None:
    """Puts FILE in the place of the database, without those who were erased since FILE was made.

    The service must be stopped. What was enrolled since is gone, and in the replaced database only, which is kept.
    """
    from app.adapters.restore import restore as put_back

    with sentences():
        done = put_back(file, load_settings(), keeps_former=not discard)
    found = done.checked
    typer.echo(
        f"Restored {found.n_speakers} speakers and {found.n_enrollments} enrollments, schema {found.revision}; "
        f"{done.n_swept} that were erased since the backup are erased again."
    )
    if not done.has_read_former:
        typer.echo(
            "The replaced database could not be read. Whom to erase was told by the erasure log beside it alone, and API keys "
            "that were revoked since the backup are valid again: see `vouch keys list`."
        )
    if done.former is not None:
        typer.echo(
            f"The replaced database is {done.former}. Delete it when it is not needed any more: no erasure reaches it."
        )
