"""`vouch`: the command line of the service."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from app.cli_audit import audit
from app.cli_backup import backup, restore
from app.cli_bench import bench
from app.cli_bulk import enroll_all
from app.cli_erasures import erasures
from app.cli_keys import keys
from app.cli_migrate import migrate
from app.cli_sentences import sentences
from app.cli_speakers import speakers
from app.cli_status import AllCommands, VoiceCommand
from app.cli_threads import one_thread_per_library
from app.cli_voice import compare, enroll, identify, verify
from app.logs import log_to_stderr
from app.server import run
from app.settings import load_settings, variable

cli = typer.Typer(
    cls=AllCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, and uploads are among those
    help="Speaker verification that you run yourself.",
)


for asks in (compare, enroll, verify, identify, bench):
    cli.command(cls=VoiceCommand)(asks)
cli.command("enroll-all", cls=VoiceCommand)(enroll_all)
cli.add_typer(speakers, name="speakers")
cli.add_typer(keys, name="keys")
cli.add_typer(audit, name="audit")
cli.add_typer(erasures, name="erasures")


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default VOUCH_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; default VOUCH_PORT.")] = None,
) -> None:
    """Serves the HTTP interface until it is told to stop."""
    # An option stands in for its variable, so that both meet the same checks.
    options = {variable("host"): host, variable("port"): port}
    os.environ.update({name: str(value) for name, value in options.items() if value is not None})
    one_thread_per_library()
    with sentences():
        settings = load_settings()
        log_to_stderr(settings.log_level, settings.log_format)
        run(settings)


@cli.command("rotate-master-key")
def rotate_master_key() -> None:
    """Seals what the database holds under a new master key. Safe to run again if it is cut short.

    On SQLite stop the service first. On PostgreSQL services go on, once each of them has both keys.
    """
    from app.adapters.rotation import rotate

    with sentences():
        settings = load_settings()
        rotated = rotate(settings)
    typer.echo(f"Sealed anew: {rotated.n_secrets} secrets of the service and {rotated.n_speakers} speakers' keys.")
    if not rotated.has_replaced_file:
        typer.echo("What stands behind the first master key is needed no more.")


@cli.command("migrate-schema")
def migrate_schema() -> None:
    """Brings the database to this release's schema, as a start of the service does. On PostgreSQL services may run beside it."""
    from app.adapters.schema import migrate_schema as migrate

    with sentences():
        done = migrate(load_settings())
    if done.before == done.after:
        typer.echo(f"The schema is at revision {done.after} already.")
    else:
        typer.echo(f"The schema went from {done.before or 'nothing'} to revision {done.after}.")


cli.command()(backup)
cli.command()(restore)
cli.command()(migrate)


def main() -> None:
    cli()
