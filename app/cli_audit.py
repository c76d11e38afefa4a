"""`vouch audit`: who did what, and whether the trail is whole. Beside a running service too."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.audit import ACTIONS
from app.cli_sentences import sentences
from app.records import DEFAULT_TENANT
from app.settings import load_settings
from model.errors import ServiceError

if TYPE_CHECKING:
    from app.adapters.audit_found import CheckedTrail

audit = typer.Typer(no_args_is_help=True, help="The audit trail: who enrolled, verified or erased whom, and when.")

AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


@audit.command("list")
def list_entries(
    speaker: Annotated[str | None, typer.Option(help="Of one speaker, by id.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of one tenant; with --speaker, the default one.")] = None,
    action: Annotated[str | None, typer.Option(help=f"Of one kind: {', '.join(ACTIONS)}.")] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on: 2026-01-31, or longer, in UTC.")] = "",
    as_json: AsJson = False,
) -> None:
    """Lists entries, oldest first. Speakers stand there as keyed hashes: --speaker finds one, nothing names one."""
    from app.adapters.audit_reading import open_trail

    with sentences():
        if action is not None and action not in ACTIONS:
            raise ServiceError(f"--action is {action!r}; it must be one of: {', '.join(ACTIONS)}.")
        asked = DEFAULT_TENANT if speaker is not None and tenant is None else tenant
        for entry in open_trail(load_settings()).entries(asked, speaker):
            if entry["at"] >= since and action in (None, entry["action"]):
                typer.echo(json.dumps(entry) if as_json else _row(entry))


@audit.command()
def check(
    holds: Annotated[
        str | None,
        typer.Option(metavar="MAC", help="The mac of an entry that must be there, as an earlier check gave it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Says whether any entry was changed, moved or taken out. Status 1 where one was.

    Entries taken off the end do not show by themselves: note the mac that this prints elsewhere, and give it to the next
    check. On PostgreSQL it also lists the chains whose end nothing vouches for: of processes that run, and of those that were
    killed.
    """
    from app.adapters.audit_reading import open_trail

    with sentences():
        found = open_trail(load_settings()).check(holds)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    elif found.problem is None:
        span = f", {found.first_at} to {found.last_at}" if found.first_at else ""
        typer.echo(f"Whole: {found.n_entries} entries in {_parts(found)}{span}. The last mac: {found.last_mac}")
        for one in found.unclosed:
            typer.echo(f"Not closed: chain {one.chain}, {one.n_entries} entries, the last line of {one.last_at}")
    else:
        typer.echo(f"NOT WHOLE: {found.problem}", err=True)
    if found.problem is not None:
        raise typer.Exit(1)


def _parts(found: CheckedTrail) -> str:
    n, what = (found.n_chains, "chain") if found.n_chains else (found.n_files, "file")
    return f"1 {what}" if n == 1 else f"{n} {what}s"


def _row(entry: dict[str, Any]) -> str:
    who = [entry.get("tenant", "-"), entry.get("speaker", "-")[:16], entry.get("about", "-")]
    return "  ".join([entry["at"], f"{entry['action']:<16}", f"{entry['outcome']:<18}", f"{entry['by']:<16}", *who])
