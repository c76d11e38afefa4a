"""`vouch speakers`: who is enrolled, shown, renamed and erased."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.cli_answers import say, standing
from app.cli_options import AsJson, KeyFile, Url
from app.cli_sentences import sentences
from app.cli_status import ERROR, VoiceCommand
from app.cli_voices import Tenant, opened
from app.records import DEFAULT_TENANT
from model.errors import InvalidArgument

speakers = typer.Typer(no_args_is_help=True, help="Who is enrolled: listed, shown, renamed, erased.")

SpeakerId = Annotated[str, typer.Argument(metavar="SPEAKER", help="The speaker's id.")]


@speakers.command("list", cls=VoiceCommand)
def list_speakers(
    tenant: Tenant = DEFAULT_TENANT, url: Url = None, key_file: KeyFile = None, as_json: AsJson = False
) -> None:
    """Lists every speaker, oldest first."""
    with sentences(ERROR), opened(url, key_file, "enroll", tenant) as voices:
        found = list(voices.speakers())
    if as_json:
        typer.echo(json.dumps({"speakers": found, "next_cursor": None}))
        return
    # The id is what other commands ask for: it is never cut.
    longest = max((len(one["speaker_id"]) for one in found), default=0)
    table = Table(Column("id", no_wrap=True, min_width=longest), "name", "status", "clips", "speech s", "made")
    for one in found:
        row = [one["speaker_id"], one["display_name"] or "", one["status"], str(one["enrollment_count"])]
        table.add_row(*map(Text, [*row, f"{one['speech_s']:.1f}", one["created_at"][:10]]))
    Console().print(table, crop=False)


@speakers.command(cls=VoiceCommand)
def show(
    speaker_id: SpeakerId,
    tenant: Tenant = DEFAULT_TENANT,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Shows one speaker, with the clips that were enrolled."""
    with sentences(ERROR), opened(url, key_file, "enroll", tenant) as voices:
        speaker = voices.speaker(speaker_id)
        clips = [] if as_json else voices.enrollments(speaker_id)
    if as_json:
        typer.echo(json.dumps(speaker))
        return
    say(standing(speaker))
    table = Table(
        Column("enrollment", no_wrap=True, min_width=32),
        "speech s",
        "SNR dB",
        "format",
        Column("enrolled", no_wrap=True),
    )
    for one in clips:
        snr_db = one["audio"]["snr_db"]
        measured = [f"{one['speech_s']:.1f}", "" if snr_db is None else f"{snr_db:.1f}"]
        table.add_row(one["enrollment_id"], *measured, one["audio"]["format"], one["created_at"][:10])
    Console().print(table, crop=False)


@speakers.command(cls=VoiceCommand)
def rename(
    speaker_id: SpeakerId,
    display_name: Annotated[str, typer.Argument(metavar="NAME", help="The new name; '' takes it away.")],
    tenant: Tenant = DEFAULT_TENANT,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Changes how a speaker is called. The id stays."""
    with sentences(ERROR), opened(url, key_file, "enroll", tenant) as voices:
        speaker = voices.rename(speaker_id, display_name or None)
    if as_json:
        typer.echo(json.dumps(speaker))
    else:
        say(standing(speaker))


@speakers.command(cls=VoiceCommand)
def erase(
    speaker_id: SpeakerId,
    is_agreed: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Erases a speaker with every clip, for good."""
    with sentences(ERROR):
        if not is_agreed:
            _ask(speaker_id)
        with opened(url, key_file, "erase", tenant) as voices:
            voices.erase(speaker_id)
    typer.echo(json.dumps({"erased": speaker_id}) if as_json else f"Erased {speaker_id}.")


def _ask(speaker_id: str) -> None:
    """Raises InvalidArgument unless somebody says yes."""
    try:
        is_agreed = typer.confirm(f"Erase {speaker_id!r} with every clip? There is no undo.", err=True)
    except typer.Abort:
        raise InvalidArgument(
            "Nothing was erased, and nobody answered. Where nobody can be asked, add --yes."
        ) from None
    if not is_agreed:
        raise InvalidArgument("Nothing was erased.")
